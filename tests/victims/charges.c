/* Memory that is charged and cannot be reclaimed, but is not anonymous: every way to leak unseen. */
#define _GNU_SOURCE
#include "victim.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static char block[1 << 16];

/* Unlinked from birth: the memory goes with us, whatever ends us. */
void mode_tmpfs(void) {
    const char *dir = text_option("dir", "/dev/shm");
    frame_begin();
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) fail(CANNOT, "dir=%s: %s", dir, strerror(errno));
    say("ready pid=%d", (int)getpid());
    for (size_t done = 0; done < max_bytes() && !ended(); done += sizeof block) {
        if (write(fd, block, sizeof block) != sizeof block) fail(CANNOT, "dir=%s: %s", dir, strerror(errno));
        pace(sizeof block);
    }
    finish();
}

void mode_mlock(void) {
    const char *path = text_option("file", NULL);
    frame_begin();
    size_t size = max_bytes();
    ensure_file(path, size);
    raise_limit(RLIMIT_MEMLOCK);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) fail(1, "file=%s: %s", path, strerror(errno));
    say("ready pid=%d", (int)getpid());
    for (size_t done = 0; done + MIB <= size && !ended(); done += MIB) {
        if (mlock(map + done, MIB)) fail(CANNOT, "mlock at %zu: %s; see ulimit -l", done, strerror(errno));
        pace(MIB);
    }
    finish();
}

/* Write into `fd` until it would block; returns what went in. */
static size_t fill(int fd) {
    size_t done = 0;
    ssize_t n;
    while ((n = write(fd, block, sizeof block)) > 0) done += n;
    if (errno != EAGAIN) fail(1, "write: %s", strerror(errno));
    pace(done);
    return done;
}

void mode_sockets(void) {
    frame_begin();
    raise_limit(RLIMIT_NOFILE);
    say("ready pid=%d", (int)getpid());
    for (size_t done = 0; done < max_bytes() && !ended();) {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends))
            fail(CANNOT, "socketpair after %zu bytes: %s; see ulimit -n", done, strerror(errno));
        done += fill(ends[0]) + fill(ends[1]);
    }
    finish();
}

void mode_pipes(void) {
    frame_begin();
    raise_limit(RLIMIT_NOFILE);
    say("ready pid=%d", (int)getpid());
    for (size_t done = 0; done < max_bytes() && !ended();) {
        int ends[2];
        if (pipe2(ends, O_NONBLOCK | O_CLOEXEC))
            fail(CANNOT, "pipe after %zu bytes: %s; see ulimit -n", done, strerror(errno));
        fcntl(ends[1], F_SETPIPE_SZ, 1 << 20); /* refused past pipe-user-pages-soft: stays small */
        done += fill(ends[1]);
    }
    finish();
}

/* Empty files pin an inode and a dentry each on tmpfs; half of that hides in slab_reclaimable.
 * They live on a mount of our own, which goes with the last process that sees it. */
void mode_inodes(void) {
    long count = number_option("count", 120000);
    frame_begin();
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("inodes", "/dev/shm", "tmpfs", 0, "nr_inodes=0,size=16m"))
        fail(CANNOT, "a tmpfs of our own: %s; needs root", strerror(errno));
    say("ready pid=%d", (int)getpid());
    for (long i = 0; i < count && !ended(); i++) {
        char path[64];
        snprintf(path, sizeof path, "/dev/shm/%ld", i);
        int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0) fail(1, "%s: %s", path, strerror(errno));
        close(fd);
        pace(1024); /* `rate` as bytes of kernel memory, about 1 KiB for each */
    }
    finish();
}
