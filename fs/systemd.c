#include "fs/systemd.h"

#include <glib.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/log.h"

/* A path, or after @ the name of an abstract socket. Returns its length, 0: it is neither. */
static socklen_t address_read(const char *path, struct sockaddr_un *address)
{
    size_t length = path != NULL ? strlen(path) : 0;

    if (length < 2 || length >= sizeof(address->sun_path) || (*path != '/' && *path != '@'))
        return 0;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, length);
    if (*path == '@')
        address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static char *message_write(const char *lines, const char *status)
{
    g_autofree char *safe = status != NULL ? log_escape(status) : NULL;

    if (safe == NULL)
        return g_strdup(lines);
    return g_strconcat(lines, *lines != '\0' ? "\n" : "", "STATUS=", safe, NULL);
}

void systemd_notify(const char *lines, const char *status)
{
    g_autofree char *message = message_write(lines, status);
    struct sockaddr_un address;

    socklen_t length = address_read(g_getenv("NOTIFY_SOCKET"), &address);
    int fd = length > 0 ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0)
        return;
    sendto(fd, message, strlen(message), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
           length);
    close(fd);
}
