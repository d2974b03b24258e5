/* victim MODE [key=value ...]: tiny programs to guard, leak and kill. */
#include "victim.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    void (*run)(void);
    const char *options;
} modes[] = {
    {"leak", mode_leak, "rate= max= chunk=256K steady=0 threads=1 during=leak|stop"},
    {"hold", mode_hold, "size=16M"},
    {"brim", mode_brim, "limit=64M margin=1M"},
    {"read", mode_read, "file= size=256M least=0"},
    {"copy", mode_copy, "file= to= size=256M least=0"},
    {"mmap", mode_mmap, "file= size=256M least=0 order=sequential|random dirty=0 "
                        "advice=none|sequential|willneed|random"},
    {"lazyfree", mode_lazyfree, "block=40M max= least=0"},
    {"anonread", mode_anonread, "anon=32M file= size=256M least=0"},
    {"names", mode_names, "dir=. make=0"},
    {"tmpfs", mode_tmpfs, "dir=/dev/shm rate= max="},
    {"mlock", mode_mlock, "file= rate= max="},
    {"sockets", mode_sockets, "rate= max="},
    {"pipes", mode_pipes, "rate= max="},
    {"inodes", mode_inodes, "count=120000 rate="},
    {"forks", mode_forks, "count=500 size=0 then=hold|exit|leak"},
    {"churn", mode_churn, "width=4 pause=1000 then="},
    {"daemon", mode_daemon, "pidfile= size=0 does=hold|leak stubborn=0 then="},
    {"stopped", mode_stopped, "count=3 then="},
    {"stubborn", mode_stubborn, "count=1 then="},
    {"nested", mode_nested, "depth=2 then="},
    {"workers", mode_workers, "count=4 size=64M own=0 then="},
    {"signals", mode_signals, "last=USR2"},
    {"state", mode_state, "to= (any further words)"},
};

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].name, name) == 0) {
            frame_options(argc - 2, argv + 2);
            modes[i].run();
            return 0;
        }
    fputs("victim: MODE key=value...; all but state also take seconds=30 max=256M rate=0 "
          "term=default|ignore checkpoint= handler=32M write= oom_score_adj=\n", stderr);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        fprintf(stderr, "  %-9s %s\n", modes[i].name, modes[i].options);
    return 2;
}
