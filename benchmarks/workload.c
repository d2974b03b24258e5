/* Work whose speed tells what guarding costs: workload stream FILE SECONDS | alloc SECONDS |
 * fork SECONDS. Prints "worked units=N took_us=T", T over the work alone. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static long long now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void fail(const char *what) {
    fprintf(stderr, "workload: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* One MiB of a file, from its beginning again after its end. */
static void stream(void *state) {
    static char buffer[1 << 18];
    int fd = *(int *)state;
    for (size_t done = 0; done < MIB;) {
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n < 0) fail("read");
        if (n == 0 && lseek(fd, 0, SEEK_SET) < 0) fail("lseek");
        done += n;
    }
}

/* 4 MiB asked for, every page written, given back. */
static void alloc(void *state) {
    (void)state;
    char *start = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) fail("mmap");
    memset(start, 0xa5, 4 * MIB);
    munmap(start, 4 * MIB);
}

static void fork_one(void *state) {
    (void)state;
    pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (pid == 0) _exit(0);
    waitpid(pid, NULL, 0);
}

int main(int argc, char **argv) {
    void (*step)(void *) = NULL;
    int fd = -1;
    if (argc == 4 && strcmp(argv[1], "stream") == 0) {
        step = stream;
        if ((fd = open(argv[2], O_RDONLY | O_CLOEXEC)) < 0) fail(argv[2]);
    }
    if (argc == 3 && strcmp(argv[1], "alloc") == 0) step = alloc;
    if (argc == 3 && strcmp(argv[1], "fork") == 0) step = fork_one;
    if (!step) {
        fputs("workload: stream FILE SECONDS | alloc SECONDS | fork SECONDS\n", stderr);
        return 2;
    }
    double seconds = atof(argv[argc - 1]);
    long long began = now_us(), end = began + (long long)(seconds * 1e6), units = 0;
    while (now_us() < end) {
        step(&fd);
        units++;
    }
    printf("worked units=%lld took_us=%lld\n", units, now_us() - began);
    return 0;
}
