/* The frame that all victims share: options, bounds, the SIGTERM behaviour, lines on stdout.
 *
 * A victim bounds itself three times: by `max` bytes, by `seconds`, and by a kernel timer that
 * SIGKILLs every one of its processes (stopped ones too) ten seconds after that.
 * `least` bytes, in the modes that take it, extend the seconds by up to sixty.
 */
#ifndef VICTIM_H
#define VICTIM_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MIB ((size_t)1 << 20)
#define CANNOT 77 /* exit status: this machine or user cannot do that, the usual word for "skip" */

/* Options are key=value words; each mode asks for its own, then calls frame_begin. */
void frame_options(int argc, char **argv);
const char *text_option(const char *key, const char *fallback);
size_t size_option(const char *key, const char *fallback);
long number_option(const char *key, long fallback);
void frame_begin(void); /* refuses unknown words; arms the bounds and the SIGTERM behaviour */

/* One line `WORD key=value ... t_us=CLOCK_MONOTONIC` on stdout in a single write. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
void finish(void) __attribute__((noreturn)); /* "done", exit 0 */

int64_t now_us(void);
void least_option(void);   /* before frame_begin, in the modes that ask enough() */
bool ended(void);          /* the seconds are over */
bool enough(size_t done);  /* and `least` bytes are done */
void sleep_to_end(void);   /* without a single wake-up */
size_t max_bytes(void);
void pace(size_t bytes); /* sleep as `rate` asks after `bytes` more */
void keep_pace(size_t all_bytes); /* the same for all of them so far: pauses are caught up with */
void *grow(size_t bytes); /* private anonymous memory, every page written */
void raise_limit(int resource);
void ensure_file(const char *path, size_t bytes);
void write_file(const char *path, const void *data, size_t bytes); /* whole, fsynced, or fail */

/* Children: born with their own bounds and the default SIGTERM; forgotten ones outlive us. */
pid_t fork_child(void);
void spare_children(void);          /* `then=exit`: leave them behind */
void then(const char *what);        /* hold, exit or leak, once the mode has set itself up */
extern volatile sig_atomic_t asked; /* SIGTERM arrived and the others are to stop leaking */

void leak_forever(void) __attribute__((noreturn));

void mode_leak(void);
void mode_hold(void);
void mode_brim(void);
void mode_read(void);
void mode_copy(void);
void mode_mmap(void);
void mode_lazyfree(void);
void mode_anonread(void);
void mode_names(void);
void mode_tmpfs(void);
void mode_mlock(void);
void mode_sockets(void);
void mode_pipes(void);
void mode_inodes(void);
void mode_forks(void);
void mode_churn(void);
void mode_daemon(void);
void mode_stopped(void);
void mode_stubborn(void);
void mode_nested(void);
void mode_workers(void);
void mode_signals(void);
void mode_state(void);

#endif
