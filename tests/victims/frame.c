/* What all victims share; victim.h says it in words. */
#define _GNU_SOURCE
#include "victim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BACKSTOP_SECONDS 60
#define OVERTIME_SECONDS 120

static char **words;
static int word_count;
static bool *used;

static size_t bound;
static long seconds;
static size_t least;
static size_t rate;
static int64_t deadline_us;
static const char *checkpoint;
static size_t handler_bytes, write_bytes;
static bool stop_leaking;
volatile sig_atomic_t asked;

static pid_t children[8192];
static int child_count;

/* --- options ------------------------------------------------------------------------------- */

void frame_options(int argc, char **argv) {
    words = argv;
    word_count = argc;
    used = calloc(argc + 1, sizeof *used);
}

const char *text_option(const char *key, const char *fallback) {
    size_t length = strlen(key);
    for (int i = 0; i < word_count; i++)
        if (strncmp(words[i], key, length) == 0 && words[i][length] == '=') {
            used[i] = true;
            return words[i] + length + 1;
        }
    return fallback;
}

size_t size_option(const char *key, const char *fallback) {
    const char *text = text_option(key, fallback);
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (errno || end == text || *text == '-' || end[shift ? 1 : 0] || value >> (63 - shift))
        fail(2, "%s=%s is not a size: give bytes, or a number with K, M or G", key, text);
    return (size_t)value << shift;
}

long number_option(const char *key, long fallback) {
    const char *text = text_option(key, NULL);
    if (!text) return fallback;
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end) fail(2, "%s=%s is not a whole number", key, text);
    return value;
}

/* --- lines and ends ------------------------------------------------------------------------ */

int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

void say(const char *format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    size_t length = vsnprintf(line, sizeof line - 64, format, arguments);
    va_end(arguments);
    if (length > sizeof line - 65) length = sizeof line - 65;
    length += snprintf(line + length, 64, " t_us=%lld\n", (long long)now_us());
    if (write(1, line, length) < 0) return; /* nobody reads: no reason to stop */
}

void fail(int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("victim: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(status);
}

void finish(void) {
    for (int i = 0; i < child_count; i++) kill(children[i], SIGKILL);
    for (int i = 0; i < child_count; i++) waitpid(children[i], NULL, 0);
    say("done");
    _exit(0);
}

/* --- bounds -------------------------------------------------------------------------------- */

static size_t available(void) {
    char line[128];
    unsigned long kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    if (!file) fail(CANNOT, "/proc/meminfo: %s", strerror(errno));
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %lu kB", &kib) == 1) break;
    fclose(file);
    return kib << 10;
}

/* A kernel timer, because SIGALRM would wait for ever in a stopped process; not inherited. */
static void arm_backstop(void) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    int64_t left = deadline_us - now_us();
    long more = BACKSTOP_SECONDS + (least ? OVERTIME_SECONDS : 0);
    struct itimerspec when = {.it_value.tv_sec = (left > 0 ? left / 1000000 : 0) + more};
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &when, NULL))
        fail(1, "no timer to bound the run: %s", strerror(errno));
}

/* All of it happens in the handler: that is what a limit's brake would hit. */
static void on_term(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    say("handler sender=%d", (int)info->si_pid);
    asked = stop_leaking;
    char *scratch = grow(handler_bytes);
    say("handler-allocated bytes=%zu", handler_bytes);
    write_file(checkpoint, scratch, write_bytes);
    say("checkpoint bytes=%zu", write_bytes);
    _exit(0);
}

static void arm_term(const char *term) {
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    if (checkpoint) action.sa_sigaction = on_term;
    else if (strcmp(term, "ignore") == 0) action.sa_handler = SIG_IGN, action.sa_flags = 0;
    else if (strcmp(term, "default") == 0) action.sa_handler = SIG_DFL, action.sa_flags = 0;
    else fail(2, "term=%s is none of default, ignore", term);
    sigaction(SIGTERM, &action, NULL);
}

void frame_begin(void) {
    bound = size_option("max", "256M");
    seconds = number_option("seconds", 30);
    rate = size_option("rate", "0");
    checkpoint = text_option("checkpoint", NULL);
    handler_bytes = size_option("handler", "32M");
    char same[32];
    snprintf(same, sizeof same, "%zu", handler_bytes);
    write_bytes = size_option("write", same);
    stop_leaking = strcmp(text_option("during", "leak"), "stop") == 0;
    const char *term = text_option("term", "default");
    long oom_score_adj = number_option("oom_score_adj", 0);
    for (int i = 0; i < word_count; i++)
        if (!used[i]) fail(2, "%s: this mode has no such option; victim alone lists them", words[i]);
    if (write_bytes > handler_bytes) fail(2, "write is larger than handler, which it is copied from");
    if (seconds < 1 || seconds > 600) fail(2, "seconds=%ld is not between 1 and 600", seconds);
    if (bound / 3 * 4 > available()) fail(CANNOT, "max=%zu is over 3/4 of what is free here", bound);
    deadline_us = now_us() + seconds * 1000000LL;
    if (oom_score_adj) {
        FILE *file = fopen("/proc/self/oom_score_adj", "we");
        if (!file || fprintf(file, "%ld", oom_score_adj) < 0 || fclose(file))
            fail(CANNOT, "oom_score_adj=%ld: %s", oom_score_adj, strerror(errno));
    }
    arm_backstop();
    arm_term(term);
}

bool ended(void) { return now_us() >= deadline_us; }

void least_option(void) { least = size_option("least", "0"); }

/* On a busy machine the seconds may be over before anything was pressed. */
bool enough(size_t done) {
    return ended() && (done >= least || now_us() >= deadline_us + OVERTIME_SECONDS * 1000000LL);
}

void sleep_to_end(void) {
    struct timespec end = {.tv_sec = deadline_us / 1000000, .tv_nsec = deadline_us % 1000000 * 1000};
    while (!ended()) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}

size_t max_bytes(void) { return bound; }

/* Per thread; a pause (a brake) is not caught up with afterwards. */
void pace(size_t bytes) {
    static _Thread_local int64_t due;
    if (!rate) return;
    int64_t now = now_us();
    if (due < now) due = now;
    due += (int64_t)(bytes * 1000000 / rate);
    struct timespec when = {.tv_sec = due / 1000000, .tv_nsec = due % 1000000 * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
}

/* From the first call on, which is made when the first of them are there. */
void keep_pace(size_t all_bytes) {
    static int64_t began;
    if (!rate) return;
    if (!began) began = now_us() - (int64_t)(all_bytes * 1000000 / rate);
    int64_t due = began + (int64_t)(all_bytes * 1000000 / rate);
    if (due <= now_us()) return;
    struct timespec when = {.tv_sec = due / 1000000, .tv_nsec = due % 1000000 * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
}

void *grow(size_t bytes) {
    if (!bytes) return NULL;
    char *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) fail(1, "mmap of %zu bytes: %s", bytes, strerror(errno));
    memset(start, 0xa5, bytes);
    return start;
}

void raise_limit(int resource) {
    struct rlimit limit;
    getrlimit(resource, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(resource, &limit);
}

/* --- files --------------------------------------------------------------------------------- */

/* Never seen half made: several victims may want the same file at the same time. */
void ensure_file(const char *path, size_t bytes) {
    static char block[1 << 16];
    char draft[4096];
    struct stat found;
    if (!path) fail(2, "file=PATH is missing");
    if (stat(path, &found) == 0 && (size_t)found.st_size >= bytes) return;
    snprintf(draft, sizeof draft, "%s.%d", path, (int)getpid());
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) fail(1, "file=%s: %s", path, strerror(errno));
    memset(block, 0x5a, sizeof block);
    for (size_t done = 0; done < bytes; done += sizeof block)
        if (write(fd, block, sizeof block) != sizeof block) fail(1, "file=%s: %s", path, strerror(errno));
    if (fsync(fd) || close(fd) || rename(draft, path)) fail(1, "file=%s: %s", path, strerror(errno));
}

void write_file(const char *path, const void *data, size_t bytes) {
    char draft[4096];
    snprintf(draft, sizeof draft, "%s.part", path);
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) fail(1, "%s: %s", draft, strerror(errno));
    for (size_t done = 0; done < bytes;) {
        ssize_t n = write(fd, (const char *)data + done, bytes - done < MIB ? bytes - done : MIB);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) fail(1, "%s: %s", draft, strerror(errno));
        done += n;
    }
    if (fsync(fd) || close(fd) || rename(draft, path)) fail(1, "%s: %s", path, strerror(errno));
}

/* --- children ------------------------------------------------------------------------------ */

pid_t fork_child(void) {
    pid_t pid = fork();
    if (pid < 0) fail(1, "fork after %d children: %s", child_count, strerror(errno));
    if (pid == 0) {
        child_count = 0;
        checkpoint = NULL;
        signal(SIGTERM, SIG_DFL);
        arm_backstop();
    } else if (child_count < (int)(sizeof children / sizeof *children)) {
        children[child_count++] = pid;
    }
    return pid;
}

void spare_children(void) { child_count = 0; }

void then(const char *what) {
    if (strcmp(what, "leak") == 0) leak_forever();
    if (strcmp(what, "exit") == 0) spare_children();
    else if (strcmp(what, "hold") == 0) sleep_to_end();
    else fail(2, "then=%s is none of hold, exit, leak", what);
    finish();
}
