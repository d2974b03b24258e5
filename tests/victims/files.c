/* Page cache and lazily freed pages: memory that reclaim can take, so that nobody is harmed. */
#define _GNU_SOURCE
#include "victim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char buffer[1 << 18];

static int open_file(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail(1, "file=%s: %s", path, strerror(errno));
    return fd;
}

/* Each mode loops until the seconds are over and `least` is through; tells how much it was. */
static void report(size_t bytes) {
    say("through bytes=%zu", bytes);
    finish();
}

static void read_once(const char *path, size_t size, size_t *total) {
    int fd = open_file(path);
    ssize_t n = 1;
    for (size_t done = 0; n > 0 && done < size && !enough(*total); done += n, *total += n)
        if ((n = read(fd, buffer, sizeof buffer)) < 0) fail(1, "file=%s: %s", path, strerror(errno));
    close(fd);
}

static const char *prepare(size_t *size) {
    const char *path = text_option("file", NULL);
    *size = size_option("size", "256M");
    least_option();
    frame_begin();
    ensure_file(path, *size);
    return path;
}

void mode_read(void) {
    size_t size, total = 0;
    const char *path = prepare(&size);
    say("ready pid=%d", (int)getpid());
    while (!enough(total)) read_once(path, size, &total);
    report(total);
}

/* The anonymous part never grows past `anon`; only the file cache presses. */
void mode_anonread(void) {
    size_t size, total = 0, anon = size_option("anon", "32M");
    const char *path = prepare(&size);
    if (anon > max_bytes()) fail(2, "anon is larger than max=%zu", max_bytes());
    grow(anon);
    say("ready pid=%d", (int)getpid());
    while (!enough(total)) read_once(path, size, &total);
    report(total);
}

/* The copy is unlinked as soon as it is open: whoever kills us has nothing to clean up. */
void mode_copy(void) {
    const char *to = text_option("to", NULL);
    size_t size, total = 0;
    const char *path = prepare(&size);
    if (!to) fail(2, "to=PATH is missing");
    say("ready pid=%d", (int)getpid());
    while (!enough(total)) {
        int in = open_file(path);
        int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (out < 0 || unlink(to)) fail(1, "to=%s: %s", to, strerror(errno));
        ssize_t n;
        for (size_t done = 0; done < size && !enough(total); done += n, total += n)
            if ((n = read(in, buffer, sizeof buffer)) <= 0 || write(out, buffer, n) != n)
                fail(1, "to=%s: %s", to, strerror(errno));
        fsync(out);
        close(out);
        close(in);
    }
    report(total);
}

static int advice_option(void) {
    const char *name = text_option("advice", "none");
    if (strcmp(name, "none") == 0) return MADV_NORMAL;
    if (strcmp(name, "sequential") == 0) return MADV_SEQUENTIAL;
    if (strcmp(name, "willneed") == 0) return MADV_WILLNEED;
    if (strcmp(name, "random") == 0) return MADV_RANDOM;
    fail(2, "advice=%s is none of none, sequential, willneed, random", name);
}

void mode_mmap(void) {
    bool scattered = strcmp(text_option("order", "sequential"), "random") == 0;
    bool dirty = number_option("dirty", 0);
    int advice = advice_option();
    size_t size, total = 0, page = sysconf(_SC_PAGESIZE);
    const char *path = prepare(&size);
    uint64_t random = 88172645463325252ULL;
    say("ready pid=%d", (int)getpid());
    while (!enough(total)) {
        int fd = open(path, (dirty ? O_RDWR : O_RDONLY) | O_CLOEXEC);
        int access = PROT_READ | (dirty ? PROT_WRITE : 0);
        volatile char *map = mmap(NULL, size, access, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED) fail(1, "file=%s: %s", path, strerror(errno));
        madvise((void *)map, size, advice);
        for (size_t i = 0; i < size / page && !enough(total); i++, total += page) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            volatile char *byte = map + (scattered ? random % (size / page) : i) * page;
            if (dirty) *byte += 1;
            else (void)*byte;
        }
        munmap((void *)map, size);
        close(fd);
    }
    report(total);
}

/* What Go and jemalloc do: give pages back with MADV_FREE. They count as anon until reclaimed. */
void mode_lazyfree(void) {
    size_t block = size_option("block", "40M"), total = 0;
    least_option();
    frame_begin();
    size_t count = max_bytes() / block;
    if (!count) fail(2, "block is larger than max=%zu", max_bytes());
    char *blocks = mmap(NULL, count * block, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (blocks == MAP_FAILED) fail(1, "mmap: %s", strerror(errno));
    say("ready pid=%d", (int)getpid());
    for (size_t i = 0; !enough(total); i = (i + 1) % count, total += block) {
        memset(blocks + i * block, 0xa5, block);
        if (madvise(blocks + i * block, block, MADV_FREE)) fail(CANNOT, "MADV_FREE: %s", strerror(errno));
    }
    report(total);
}

/* Looks up names that do not exist, or (make=1) makes files that do: slab that can be reclaimed,
 * and so hides no leak. On a real disk; tmpfs pins the second kind. */
void mode_names(void) {
    const char *dir = text_option("dir", ".");
    bool make = number_option("make", 0);
    size_t total = 0;
    char path[4096];
    struct stat found;
    frame_begin();
    say("ready pid=%d", (int)getpid());
    for (; !ended(); total++) {
        snprintf(path, sizeof path, "%s/%d-%zu", dir, (int)getpid(), total);
        if (!make) stat(path, &found);
        else if (mknod(path, S_IFREG | 0600, 0)) fail(1, "%s: %s", path, strerror(errno));
    }
    while (make && total-- > 0) {
        snprintf(path, sizeof path, "%s/%d-%zu", dir, (int)getpid(), total);
        unlink(path);
    }
    finish();
}
