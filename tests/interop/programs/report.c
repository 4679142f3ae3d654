/* `report`, a program that knows nothing of SSH: it shows its arguments, reads its input to the end, and ends.
 *
 * What it does last is named by its last argument: `exit` and `return` have a status, `forever` writes until it dies. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **arguments) {
    const char *last = arguments[count - 1];
    for (int number = 1; number < count; number++)
        printf("argument %d: %s\n", number, arguments[number]);
    printf("terminal: %s\n", isatty(0) ? "yes" : "no");
    while (strcmp(last, "forever") == 0) {
        puts("more");
        fflush(stdout);
    }
    char block[4096];
    size_t bytes = 0;
    for (size_t read; (read = fread(block, 1, sizeof block, stdin)) > 0;)
        bytes += read;
    printf("%zu bytes\n", bytes);
    fputs("told apart\n", stderr);
    if (strcmp(last, "exit") == 0)
        exit(42);
    return strcmp(last, "return") == 0 ? 43 : 0;
}
