/* `pipeline sort names '|' uniq -c '|' head` runs programs whose outputs are the next one's inputs. Its status is that
 * of the last, as a shell tells it.
 *
 * The header is made from wit/process: see plugins/README.md. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "processes.h"

enum { MOST = 32 };

extern char **environ;

static processes_string_t text(const char *word, size_t length) {
    return (processes_string_t){.ptr = (uint8_t *)word, .len = length};
}

static processes_string_t all_of(const char *word) { return text(word, strlen(word)); }

/* A copy of this program's environment: nothing is inherited. */
static processes_list_tuple2_string_string_t environment(void) {
    processes_list_tuple2_string_string_t copy = {0};
    while (environ[copy.len])
        copy.len++;
    copy.ptr = calloc(copy.len + 1, sizeof *copy.ptr);
    for (size_t place = 0; place < copy.len; place++) {
        const char *variable = environ[place], *equals = strchr(variable, '=');
        copy.ptr[place].f0 = text(variable, equals - variable);
        copy.ptr[place].f1 = all_of(equals + 1);
    }
    return copy;
}

/* Starts a stage with these descriptors as 0 and 1. */
static int start(char **words, size_t count, whelk_process_process_own_fd_t in, whelk_process_process_own_fd_t out,
                 whelk_process_process_own_child_t *child) {
    whelk_process_process_own_fd_t errors;
    if (!whelk_process_process_get(2, &errors))
        return 0;
    processes_string_t argv[MOST];
    for (size_t place = 0; place < count; place++)
        argv[place] = all_of(words[place]);
    whelk_process_process_tuple2_u32_borrow_fd_t fds[] = {
        {0, whelk_process_process_borrow_fd(in)},
        {1, whelk_process_process_borrow_fd(out)},
        {2, whelk_process_process_borrow_fd(errors)},
    };
    const char *directory = getenv("PWD");
    whelk_process_process_request_t request = {
        .program = argv[0],
        .argv = {argv, count},
        .env = environment(),
        .cwd = all_of(directory ? directory : "/"),
        .fds = {fds, 3},
        .group.tag = WHELK_PROCESS_PROCESS_GROUP_CHOICE_INHERIT,
    };
    whelk_process_process_errno_t error;
    int done = whelk_process_process_spawn(&request, child, &error);
    free(request.env.ptr);
    whelk_process_process_fd_drop_own(errors);
    if (!done)
        fprintf(stderr, "pipeline: %s: error %d\n", words[0], error);
    return done;
}

/* Waits until it has ended. */
static int status_of(whelk_process_process_own_child_t child) {
    whelk_process_process_borrow_child_t one = whelk_process_process_borrow_child(child);
    whelk_process_process_list_borrow_child_t any = {&one, 1};
    whelk_process_process_tuple2_u32_change_t changed;
    whelk_process_process_errno_t error;
    while (whelk_process_process_wait(&any, &changed, &error))
        if (changed.f1.tag == WHELK_PROCESS_PROCESS_CHANGE_EXITED) {
            whelk_process_process_ending_t *ending = &changed.f1.val.exited;
            /* The number of a signal is not in the interface: 128 alone says that there was one. */
            return ending->tag == WHELK_PROCESS_PROCESS_ENDING_STATUS ? ending->val.status : 128;
        }
    return 125;
}

int main(int count, char **words) {
    whelk_process_process_own_child_t children[MOST];
    whelk_process_process_own_fd_t in, out;
    size_t stages = 0;
    if (count < 2 || count > MOST || !whelk_process_process_get(0, &in))
        return 125;
    for (int first = 1, last; first < count; first = last + 1) {
        for (last = first; last < count && strcmp(words[last], "|");)
            last++;
        whelk_process_process_tuple2_own_fd_own_fd_t ends;
        whelk_process_process_errno_t error;
        int more = last < count;
        if (more ? !whelk_process_process_pipe(&ends, &error) : !whelk_process_process_get(1, &out))
            return 125;
        if (more)
            out = ends.f1;
        if (first == last || !start(words + first, last - first, in, out, &children[stages++]))
            return 126;
        /* As long as this program holds an end, its reader never sees the end. */
        whelk_process_process_fd_drop_own(in);
        whelk_process_process_fd_drop_own(out);
        in = ends.f0;
    }
    int status = 0;
    for (size_t stage = 0; stage < stages; stage++)
        status = status_of(children[stage]);
    return status;
}
