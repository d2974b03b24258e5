/* Families: who forks, hides, stops, refuses to go or moves to another cgroup. */
#define _GNU_SOURCE
#include "victim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* A growing crowd of sleepers; each touches `size` of its own. */
void mode_forks(void) {
    long count = number_option("count", 500);
    size_t size = size_option("size", "0");
    const char *next = text_option("then", "hold");
    frame_begin();
    if (count < 1 || count > 8000) fail(2, "count=%ld is not between 1 and 8000", count);
    say("started pid=%d", (int)getpid());
    for (long i = 0; i < count && !ended(); i++)
        if (fork_child() == 0) {
            grow(size);
            sleep_to_end();
            _exit(0);
        }
    say("ready children=%ld", count);
    then(next);
}

/* `width` lines of processes that each fork a successor and exit: no pid stays the same. `pause`
 * microseconds between, because whoever inherits the dead has to reap them as quickly. */
void mode_churn(void) {
    long width = number_option("width", 4), pause = number_option("pause", 1000);
    const char *next = text_option("then", "hold");
    frame_begin();
    if (width < 1 || width > 64) fail(2, "width=%ld is not between 1 and 64", width);
    for (long i = 0; i < width; i++)
        if (fork_child() == 0) {
            while (!ended() && fork() <= 0)
                if (pause) usleep(pause);
            _exit(0);
        }
    say("ready pid=%d", (int)getpid());
    then(next);
}

/* Forgotten by its parents: double fork, a session of its own, no standard streams. */
void mode_daemon(void) {
    const char *pidfile = text_option("pidfile", NULL);
    const char *does = text_option("does", "hold"), *next = text_option("then", "hold");
    bool stubborn = number_option("stubborn", 0);
    size_t size = size_option("size", "0");
    int up[2]; /* closes when the daemon is what it is to be: `ready` is said after that */
    if (pipe2(up, O_CLOEXEC)) fail(1, "a pipe: %s", strerror(errno));
    frame_begin();
    pid_t middle = fork_child();
    if (middle == 0) {
        setsid();
        if (fork_child() > 0) _exit(0);
        if (stubborn) signal(SIGTERM, SIG_IGN);
        int null = open("/dev/null", O_RDWR);
        for (int fd = 0; fd < 3; fd++) dup2(null, fd);
        if (null > 2) close(null);
        grow(size);
        char text[32];
        int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
        if (pidfile) write_file(pidfile, text, length);
        close(up[0]);
        close(up[1]);
        then(does);
    }
    close(up[1]);
    waitpid(middle, NULL, 0);
    ssize_t closed = read(up[0], &(char){0}, 1);
    close(up[0]);
    if (closed) fail(1, "the daemon wrote to the pipe");
    spare_children();
    say("ready pid=%d", (int)getpid());
    then(next);
}

/* Children that cannot handle anything: they stopped themselves. */
void mode_stopped(void) {
    long count = number_option("count", 3);
    const char *next = text_option("then", "hold");
    frame_begin();
    for (long i = 0; i < count; i++) {
        pid_t pid = fork_child();
        if (pid == 0) {
            raise(SIGSTOP);
            sleep_to_end();
            _exit(0);
        }
        waitpid(pid, NULL, WUNTRACED);
    }
    say("ready pid=%d", (int)getpid());
    then(next);
}

/* Children that ignore SIGTERM, while the main process does what `term` and `then` say. */
void mode_stubborn(void) {
    long count = number_option("count", 1);
    const char *next = text_option("then", "hold");
    frame_begin();
    int ends[2];
    char byte = 0;
    if (pipe2(ends, O_CLOEXEC)) fail(1, "pipe: %s", strerror(errno));
    for (long i = 0; i < count; i++)
        if (fork_child() == 0) {
            signal(SIGTERM, SIG_IGN);
            if (write(ends[1], &byte, 1) != 1) _exit(1);
            sleep_to_end();
            _exit(0);
        }
    for (long i = 0; i < count; i++)
        if (read(ends[0], &byte, 1) != 1) fail(1, "a child did not start");
    say("ready pid=%d", (int)getpid());
    then(next);
}

static void join(const char *cgroup) {
    char path[1100];
    snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
    FILE *file = fopen(path, "r+e");
    if (!file || fputs("0", file) < 0 || fclose(file)) fail(CANNOT, "%s: %s", path, strerror(errno));
}

/* Cgroups inside our own, a child in each and ourselves in the deepest. They stay when we are
 * killed, as a real program's would; ending by ourselves we take them away. */
void mode_nested(void) {
    long depth = number_option("depth", 2);
    const char *next = text_option("then", "hold");
    char line[512], own[600], *name = NULL;
    frame_begin();
    if (depth < 1 || depth > 8) fail(2, "depth=%ld is not between 1 and 8", depth);
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "0::", 3) == 0) name = strtok(line + 3, "\n");
    if (!name) fail(CANNOT, "/proc/self/cgroup names no cgroup v2");
    fclose(file);
    snprintf(own, sizeof own, "/sys/fs/cgroup%s", strcmp(name, "/") ? name : "");
    struct statfs kind;
    if (statfs(own, &kind) || kind.f_type != CGROUP2_SUPER_MAGIC) fail(CANNOT, "%s is no cgroup v2", own);
    char path[9][800];
    snprintf(path[0], sizeof path[0], "%s", own);
    for (long i = 1; i <= depth; i++) {
        snprintf(path[i], sizeof path[i], "%.780s/nested", path[i - 1]);
        if (mkdir(path[i], 0755)) fail(CANNOT, "%s: %s", path[i], strerror(errno));
        join(path[i]);
        if (fork_child() == 0) {
            sleep_to_end();
            _exit(0);
        }
    }
    say("ready pid=%d deepest=%s", (int)getpid(), path[depth]);
    if (strcmp(next, "hold")) then(next);
    sleep_to_end();
    join(own);
    while (waitpid(-1, NULL, 0) > 0) continue;
    spare_children();
    for (long i = depth; i > 0; i--) rmdir(path[i]);
    finish();
}

/* `size` of the parent's memory, seen resident in every worker and charged once. */
void mode_workers(void) {
    long count = number_option("count", 4);
    size_t size = size_option("size", "64M"), own = size_option("own", "0");
    const char *next = text_option("then", "hold");
    frame_begin();
    if (size + count * own > max_bytes()) fail(2, "size and own are larger than max=%zu", max_bytes());
    volatile char *shared = grow(size);
    int ends[2];
    char byte = 0;
    if (pipe2(ends, O_CLOEXEC)) fail(1, "pipe: %s", strerror(errno));
    for (long i = 0; i < count; i++)
        if (fork_child() == 0) {
            for (size_t at = 0; at < size; at += 4096) (void)shared[at];
            grow(own);
            if (write(ends[1], &byte, 1) != 1) _exit(1);
            sleep_to_end();
            _exit(0);
        }
    for (long i = 0; i < count; i++)
        if (read(ends[0], &byte, 1) != 1) fail(1, "a worker did not start");
    say("ready pid=%d", (int)getpid());
    then(next);
}
