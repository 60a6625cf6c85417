/* Preloaded into a broker (LD_PRELOAD), it makes writes to the log fail with the errno that stands in a control file.
 *
 * FAILING_LOG: the path of the log. FAILING_CONTROL: a file with "write N" or "fdatasync N"; empty or absent for none.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ssize_t real_write(int fd, const void *data, size_t size) {
    static ssize_t (*next)(int, const void *, size_t);
    if (next == NULL) next = dlsym(RTLD_NEXT, "write");
    return next(fd, data, size);
}

static int is_log(int fd) {
    const char *log = getenv("FAILING_LOG");
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (log == NULL || length < 0) return 0;
    path[length] = '\0';
    return strcmp(path, log) == 0;
}

static int fault_of(const char *call) {
    const char *control = getenv("FAILING_CONTROL");
    char text[64] = "", wanted[32];
    int number = 0;
    int fd = control == NULL ? -1 : open(control, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0 || sscanf(text, "%31s %d", wanted, &number) != 2) return 0;
    return strcmp(wanted, call) == 0 ? number : 0;
}

ssize_t write(int fd, const void *data, size_t size) {
    int number = is_log(fd) ? fault_of("write") : 0;
    if (number == 0) return real_write(fd, data, size);
    errno = number;
    return -1;
}

int fdatasync(int fd) {
    static int (*next)(int);
    if (next == NULL) next = dlsym(RTLD_NEXT, "fdatasync");
    int number = is_log(fd) ? fault_of("fdatasync") : 0;
    if (number == 0) return next(fd);
    errno = number;
    return -1;
}
