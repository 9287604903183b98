#include "fs/mounter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/mountpoint.h"

/* What is asked, in one packet. */
struct order {
    bool read_only;
    char source[256];
};

static int mounter_fd = -1; /* to the process that stays root */

/* The names of FUSE's options as mount(2) has them. */
static const struct {
    const char *name;
    unsigned long flag;
    const char *data;
} OPTIONS_OF_MOUNT[] = {
    {"allow_other", 0, ",allow_other"},
    {"allow_root", 0, ",allow_other"}, /* libfuse keeps the others out */
    {"default_permissions", 0, ",default_permissions"},
    {"noexec", MS_NOEXEC, ""},
    {"noatime", MS_NOATIME, ""},
};

/* ---- the process that stays root --------------------------------------------------------------
 */

struct mounter {
    char *place; /* the automount point itself, whatever its path leads to by now */
    unsigned long flags;
    GString *data; /* for mount(2), without the descriptor */
};

static void mounter_describe(struct mounter *mounter, const struct passwd *user,
                             const GPtrArray *fuse)
{
    bool shared = false, checked = false;

    mounter->flags = MS_NOSUID | MS_NODEV;
    mounter->data = g_string_new(NULL);
    g_string_printf(mounter->data, ",rootmode=40000,user_id=%u,group_id=%u", user->pw_uid,
                    user->pw_gid);
    for (size_t i = 0; i < G_N_ELEMENTS(OPTIONS_OF_MOUNT); i++)
        for (guint k = 0; k < fuse->len; k++) {
            if (!g_str_equal(OPTIONS_OF_MOUNT[i].name, g_ptr_array_index(fuse, k)))
                continue;
            mounter->flags |= OPTIONS_OF_MOUNT[i].flag;
            g_string_append(mounter->data, OPTIONS_OF_MOUNT[i].data);
            shared |= g_str_has_prefix(OPTIONS_OF_MOUNT[i].name, "allow_");
            checked |= g_str_equal(OPTIONS_OF_MOUNT[i].name, "default_permissions");
        }
    if (shared && !checked)
        g_string_append(mounter->data, ",default_permissions");
}

/* The descriptor of /dev/fuse, mounted; or -errno. */
static int mounter_do(const struct mounter *mounter, const struct order *order)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    g_autofree char *data = g_strdup_printf("fd=%d%s", fd, mounter->data->str);
    unsigned long flags = mounter->flags | (order->read_only ? MS_RDONLY : 0);
    if (mount(order->source, mounter->place, "fuse.mailmount", flags, data) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

/* The answer: 0 and a descriptor, or an errno. */
static void answer_send(int socket, int result)
{
    int error = result < 0 ? -result : 0;
    struct iovec bytes = {&error, sizeof(error)};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};

    if (result >= 0) {
        message.msg_control = control.space;
        message.msg_controllen = sizeof(control.space);
        control.header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &result, sizeof(int));
    }
    sendmsg(socket, &message, MSG_NOSIGNAL);
}

static void mounter_serve(const struct mounter *mounter, int socket)
{
    struct order order;

    if (recv(socket, &order, sizeof(order), 0) != sizeof(order))
        return; /* nobody wants it any more */
    order.source[sizeof(order.source) - 1] = '\0';
    answer_send(socket, mounter_do(mounter, &order));
}

/* A descriptor of the automount point at `path`, -1: there is none. */
static int automount_point_open(const char *path)
{
    g_autofree char *whole = g_canonicalize_filename(path, NULL);
    g_autofree char *text = NULL;
    g_auto(mount_row) row = {0};
    struct stat st;

    if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL) ||
        !mount_row_find(text, whole, &row) || !g_str_equal(row.type, "autofs"))
        return -1;
    int fd = open(whole, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == row.device)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

void mounter_start(const char *mountpoint, const struct passwd *user, const GPtrArray *fuse)
{
    struct mounter mounter = {0};
    int ends[2], place = automount_point_open(mountpoint);

    if (place < 0)
        return;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        close(place);
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        if (fork() != 0) /* so that nobody need wait for it */
            _exit(0);
        mounter.place = g_strdup_printf("/proc/self/fd/%d", place);
        mounter_describe(&mounter, user, fuse);
        mounter_serve(&mounter, ends[1]);
        _exit(0);
    }
    close(place);
    close(ends[1]);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    mounter_fd = ends[0];
}

/* ---- who asks it ------------------------------------------------------------------------------
 */

/* What --fsname says, without its quoting; cut where it is too long. */
static void order_fill(struct order *order, const char *const *options)
{
    for (; *options != NULL; options++) {
        size_t length = 0;
        if (g_str_equal(*options, "ro"))
            order->read_only = true;
        if (!g_str_has_prefix(*options, "fsname="))
            continue;
        for (const char *at = *options + strlen("fsname="); *at != '\0'; at++) {
            at += at[0] == '\\' && at[1] != '\0';
            if (length + 1 < sizeof(order->source))
                order->source[length++] = *at;
        }
    }
}

/* The descriptor in the answer, -1 with errno. */
static int answer_take(int socket)
{
    int error = 0, fd = -1;
    struct iovec bytes = {&error, sizeof(error)};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof(control.space)};

    ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = n == sizeof(error) ? CMSG_FIRSTHDR(&message) : NULL;
    if (header != NULL && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(header), sizeof(int));
    errno = n == sizeof(error) && error != 0 ? error : EPROTO;
    return fd;
}

int mounter_mount(const char *const *options)
{
    struct order order = {0};

    errno = 0;
    if (mounter_fd < 0)
        return -1;
    order_fill(&order, options);
    int fd = -1;
    if (send(mounter_fd, &order, sizeof(order), MSG_NOSIGNAL) == sizeof(order))
        fd = answer_take(mounter_fd);
    int error = errno;
    close(mounter_fd);
    mounter_fd = -1;
    errno = error;
    return fd;
}
