/* Witnesses: which signals arrive and from whom, and what a program was born with. */
#define _GNU_SOURCE
#include "victim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int signal_option(const char *key, const char *fallback) {
    const char *name = text_option(key, fallback);
    for (int number = 1; number < 32; number++)
        if (strcmp(sigabbrev_np(number), name) == 0) return number;
    return number_option(key, 0);
}

/* Blocked and taken one by one, so that even TSTP and an ignored HUP are seen and nothing is
 * interrupted; two equal pending signals are one, as for every program. `last` ends it. */
void mode_signals(void) {
    int last = signal_option("last", "USR2"), counts[65] = {0};
    frame_begin();
    sigset_t all;
    siginfo_t info;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    say("ready pid=%d", (int)getpid());
    while (!ended()) {
        struct timespec patience = {.tv_nsec = 100000000};
        int number = sigtimedwait(&all, &info, &patience);
        if (number < 0) continue;
        say("signal number=%d name=%s count=%d code=%d pid=%d uid=%d", number,
            number < 32 ? sigabbrev_np(number) : "RT", ++counts[number], info.si_code,
            info.si_code <= 0 ? (int)info.si_pid : 0, info.si_code <= 0 ? (int)info.si_uid : 0);
        if (number == last) break;
    }
    finish();
}

/* --- state: everything that a launcher could change, in hex where any byte is possible ------- */

static void print_hex(FILE *out, const char *data, size_t length) {
    fputc('"', out);
    for (size_t i = 0; i < length; i++) fprintf(out, "%02x", (unsigned char)data[i]);
    fputc('"', out);
}

/* /proc files have no size to ask for. */
static size_t read_whole(const char *path, char **data) {
    size_t length = 0, room = 1 << 16;
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *data = malloc(room);
    while (fd >= 0 && (n = read(fd, *data + length, room - length - 1)) > 0) {
        length += n;
        if (length + 1 == room) *data = realloc(*data, room *= 2);
    }
    if (fd < 0 || n < 0) fail(1, "%s: %s", path, strerror(errno));
    close(fd);
    (*data)[length] = 0;
    return length;
}

static void print_file(FILE *out, const char *key, const char *path) {
    char *data;
    size_t length = read_whole(path, &data);
    fprintf(out, "\"%s\": ", key);
    print_hex(out, data, length);
    fputs(",\n", out);
    free(data);
}

/* {"0": {"target": hex, "flags": fcntl's}, ...}, without the one that lists them. */
static void print_descriptors(FILE *out) {
    DIR *dir = opendir("/proc/self/fd");
    const char *separator = "";
    if (!dir) fail(1, "/proc/self/fd: %s", strerror(errno));
    fputs("\"fds\": {", out);
    for (struct dirent *entry; (entry = readdir(dir));) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == dirfd(dir)) continue;
        char target[4096];
        ssize_t length = readlinkat(dirfd(dir), entry->d_name, target, sizeof target);
        fprintf(out, "%s\"%d\": {\"target\": ", separator, fd);
        print_hex(out, target, length > 0 ? length : 0);
        fprintf(out, ", \"flags\": %d}", fcntl(fd, F_GETFL));
        separator = ", ";
    }
    fputs("},\n", out);
    closedir(dir);
}

/* The lines of /proc/self/status that a launcher can change; masks as the kernel prints them. */
static void print_status(FILE *out) {
    static const char *const keys[] = {"SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "Umask",
                                       "NoNewPrivs", "Groups", "Uid", "Gid", "CapEff"};
    char *data;
    read_whole("/proc/self/status", &data);
    for (char *line = strtok(data, "\n"); line; line = strtok(NULL, "\n"))
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
            size_t length = strlen(keys[i]);
            if (strncmp(line, keys[i], length) || line[length] != ':') continue;
            for (char *tab = line; (tab = strchr(tab, '\t'));) *tab = ' ';
            fprintf(out, "\"%s\": \"%s\",\n", keys[i], line + length + 2);
        }
    free(data);
}

static void print_limits(FILE *out) {
    fputs("\"rlimits\": [", out);
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit limit;
        getrlimit(i, &limit);
        fprintf(out, "%s[%lld, %lld]", i ? ", " : "", (long long)limit.rlim_cur,
                (long long)limit.rlim_max);
    }
    fputs("],\n", out);
}

/* Takes any further words, sets up nothing, and looks before it opens anything. */
void mode_state(void) {
    const char *to = text_option("to", NULL);
    char *text, cwd[4096];
    size_t length;
    FILE *out = open_memstream(&text, &length);
    fputs("{\n", out);
    print_descriptors(out);
    print_status(out);
    print_limits(out);
    print_file(out, "argv", "/proc/self/cmdline");
    print_file(out, "environ", "/proc/self/environ");
    print_file(out, "cgroup", "/proc/self/cgroup");
    fputs("\"cwd\": ", out);
    if (!getcwd(cwd, sizeof cwd)) cwd[0] = 0;
    print_hex(out, cwd, strlen(cwd));
    char *score;
    read_whole("/proc/self/oom_score_adj", &score);
    int parent_death = 0;
    prctl(PR_GET_PDEATHSIG, &parent_death);
    int foreground = -1;
    for (int fd = 0; fd < 3 && foreground < 0; fd++) foreground = tcgetpgrp(fd);
    fprintf(out, ",\n\"pid\": %d, \"ppid\": %d, \"pgid\": %d, \"sid\": %d, \"foreground\": %d,\n",
            (int)getpid(), (int)getppid(), (int)getpgrp(), (int)getsid(0), foreground);
    fprintf(out, "\"oom_score_adj\": %d, \"parent_death_signal\": %d, \"nice\": %d\n}\n", atoi(score),
            parent_death, getpriority(PRIO_PROCESS, 0));
    fclose(out);
    if (to) {
        write_file(to, text, length);
        return;
    }
    for (size_t done = 0; done < length;) {
        ssize_t n = write(1, text + done, length - done);
        if (n <= 0) fail(1, "standard output: %s; give to=PATH", strerror(errno));
        done += n;
    }
}
