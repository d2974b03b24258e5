/* Anonymous memory: leaks, and programs that sit at a size. */
#define _GNU_SOURCE
#include "victim.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t chunk; /* what it leaks at a time */
static size_t leaked; /* atomic: all threads together */
static long threads = 1;
static bool steady; /* the rate is that of all of the leak: pauses are caught up with */

static void *leak(void *unused) {
    while (!ended() && !asked) {
        if (__atomic_fetch_add(&leaked, chunk, __ATOMIC_RELAXED) >= max_bytes()) break;
        grow(chunk);
        if (steady) keep_pace(__atomic_load_n(&leaked, __ATOMIC_RELAXED));
        else pace(chunk * threads);
    }
    return unused;
}

void leak_forever(void) {
    if (!chunk) chunk = (size_t)256 << 10;
    leak(NULL);
    finish();
}

/* One thread: the handler interrupts the leak. More: the main thread is idle and takes the signal,
 * the others go on leaking meanwhile (during=leak) or stop (during=stop). */
void mode_leak(void) {
    threads = number_option("threads", 1);
    chunk = size_option("chunk", "256K");
    steady = number_option("steady", 0);
    if (!chunk) fail(2, "chunk=0 leaks nothing");
    if (threads < 1 || threads > 64) fail(2, "threads=%ld is not between 1 and 64", threads);
    frame_begin();
    say("ready pid=%d", (int)getpid());
    if (threads == 1) leak_forever();

    pthread_t ids[64];
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    for (long i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, leak, NULL)) fail(1, "thread %ld was not created", i);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (long i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    finish();
}

void mode_hold(void) {
    size_t size = size_option("size", "16M");
    frame_begin();
    if (size > max_bytes()) fail(2, "size is larger than max=%zu", max_bytes());
    grow(size);
    say("ready pid=%d bytes=%zu", (int)getpid(), size);
    sleep_to_end();
    finish();
}

/* memory.current of our own cgroup, or our resident set where that cannot be read. */
static size_t usage(void) {
    char line[1024], path[1100], *name = NULL;
    unsigned long value = 0, resident = 0;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "0::", 3) == 0) name = strtok(line + 3, "\n");
    if (file) fclose(file);
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.current", name ? name : "");
    if ((file = fopen(path, "re"))) {
        int found = fscanf(file, "%lu", &value);
        fclose(file);
        if (found == 1) return value;
    }
    if (!(file = fopen("/proc/self/statm", "re")) || fscanf(file, "%*u %lu", &resident) != 1)
        fail(1, "neither memory.current nor /proc/self/statm can be read");
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Sit `margin` under `limit`, as the accounting sees it. */
void mode_brim(void) {
    size_t limit = size_option("limit", "64M"), margin = size_option("margin", "1M");
    frame_begin();
    if (limit > max_bytes()) fail(2, "limit is larger than max=%zu", max_bytes());
    while (usage() + margin + 4096 * 16 <= limit) grow(4096 * 16);
    say("ready pid=%d usage=%zu", (int)getpid(), usage());
    sleep_to_end();
    finish();
}
