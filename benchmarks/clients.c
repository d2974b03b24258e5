/* Clients of a Unix socket that ask as fast as they are answered:
 * clients PATH COUNT SECONDS LINE. Each connects, sends LINE, reads to the end, and begins again.
 * Prints "asking" when all have begun, "asked answers=N took_us=T" at the end. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1000 };

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static char line[4096];
static long long end;
static long answers; /* atomic: all threads together */

static long long now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void fail(const char *what) {
    fprintf(stderr, "clients: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Whether an answer came. */
static int ask(void) {
    char buffer[4096];
    size_t got = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, line, strlen(line), MSG_NOSIGNAL) > 0) {
        ssize_t n;
        while ((n = read(fd, buffer, sizeof buffer)) > 0) got += n;
    }
    close(fd);
    return got > 0;
}

static void *client(void *unused) {
    while (now_us() < end) {
        if (ask()) __atomic_fetch_add(&answers, 1, __ATOMIC_RELAXED);
        else usleep(10000); /* nobody listens there (any more) */
    }
    return unused;
}

int main(int argc, char **argv) {
    int count = argc == 5 ? atoi(argv[2]) : 0;
    if (count < 1 || count > MOST || strlen(argv[1]) >= sizeof address.sun_path) {
        fputs("clients: PATH COUNT SECONDS LINE\n", stderr);
        return 2;
    }
    strcpy(address.sun_path, argv[1]);
    snprintf(line, sizeof line, "%s\n", argv[4]);
    long long began = now_us();
    end = began + (long long)(atof(argv[3]) * 1e6);
    pthread_t ids[MOST];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 16);
    for (int i = 0; i < count; i++)
        if ((errno = pthread_create(&ids[i], &attributes, client, NULL))) fail("pthread_create");
    puts("asking");
    fflush(stdout);
    for (int i = 0; i < count; i++) pthread_join(ids[i], NULL);
    printf("asked answers=%ld took_us=%lld\n", answers, now_us() - began);
    return 0;
}
