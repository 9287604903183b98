#include "fs/session.h"

#include <errno.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/mounter.h"
#include "fs/mountpoint.h"
#include "fs/ops.h"

#define LOOP_THREADS 4

struct session {
    struct fuse_session *fuse;
    dev_t device;
    pthread_t looper;    /* the thread in session_loop() */
    _Atomic int looping; /* 0 before, 1 in, 2 after the loop */
};

/* ---- the INIT reply ---- */

/* Flags that the kernel offered in INIT, until the reply is patched; -1 afterwards. */
static _Atomic int64_t offered = -1;

static ssize_t io_read(int fd, void *buffer, size_t length, void *data)
{
    ssize_t got = read(fd, buffer, length);
    const struct fuse_in_header *header = buffer;
    if (got >= (ssize_t)(sizeof(*header) + offsetof(struct fuse_init_in, flags) + 4) &&
        header->opcode == FUSE_INIT) {
        const struct fuse_init_in *init = (const void *)(header + 1);
        offered = init->flags;
    }
    return got;
}

/* The first reply after INIT that has its shape is INIT's. */
static void patch_init(struct iovec *iov, int count)
{
    int64_t flags = offered;
    if (flags < 0 || count != 2 || iov[1].iov_len < offsetof(struct fuse_init_out, flags) + 4)
        return;
    struct fuse_init_out *init = iov[1].iov_base;
    if (fuse_version() < 317)
        init->flags |= (uint32_t)flags & (FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2);
    offered = -1;
}

static ssize_t io_writev(int fd, struct iovec *iov, int count, void *data)
{
    patch_init(iov, count);
    return writev(fd, iov, count);
}

/* ---- mounting ---- */

static dev_t find_device(const char *mountpoint)
{
    g_autofree char *text = NULL;
    g_auto(mount_row) row = {0};
    bool found = g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL) &&
                 mount_row_find(text, mountpoint, &row);
    return found ? row.device : 0;
}

/* What libfuse says on standard error becomes the error's text. */
static GString *said;

static void hear(enum fuse_log_level level, const char *format, va_list arguments)
{
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    g_strstrip(text);
    if (said != NULL && text[0] != '\0')
        g_string_append_printf(said, "%s%s", said->len > 0 ? "; " : "", text);
    else
        g_info("fuse: %s", text);
}

static struct fuse_session *fuse_new(GStrv options)
{
    struct fuse_args arguments = FUSE_ARGS_INIT(0, NULL);
    fuse_opt_add_arg(&arguments, "mailmount");
    for (unsigned i = 0; options != NULL && options[i] != NULL; i++) {
        fuse_opt_add_arg(&arguments, "-o");
        fuse_opt_add_arg(&arguments, options[i]);
    }
    struct fuse_session *fuse = fuse_session_new(&arguments, &OPS, sizeof(OPS), NULL);
    fuse_opt_free_args(&arguments);
    return fuse;
}

/* By root where there is one (fs/mounter.h), else as libfuse does it. 0, an errno, or -1. */
static int fuse_mount(struct fuse_session *fuse, const char *mountpoint, GStrv options)
{
    int fd = mounter_mount((const char *const *)options);
    if (fd < 0)
        return errno != 0 ? errno : fuse_session_mount(fuse, mountpoint);
    g_autofree char *place = g_strdup_printf("/dev/fd/%d", fd);
    return fuse_session_mount(fuse, place);
}

struct session *session_mount(const char *mountpoint, GStrv options, GError **error)
{
    static const struct fuse_custom_io IO = {.read = io_read, .writev = io_writev};
    g_autoptr(GString) words = g_string_new(NULL);
    said = words;
    fuse_set_log_func(hear);
    struct fuse_session *fuse = fuse_new(options);
    int rc = fuse != NULL ? fuse_mount(fuse, mountpoint, options) : -1;
    said = NULL;
    if (rc != 0) {
        const char *refusal = rc > 0 ? g_strerror(rc) : "FUSE refuses";
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot mount on %s: %s", mountpoint,
                    words->len > 0 ? words->str : refusal);
        if (fuse != NULL)
            fuse_session_destroy(fuse);
        return NULL;
    }
    fuse_session_custom_io(fuse, &IO, fuse_session_fd(fuse));
    struct session *session = g_new0(struct session, 1);
    session->fuse = fuse;
    session->device = find_device(mountpoint);
    return session;
}

dev_t session_device(const struct session *session)
{
    return session->device;
}

struct fuse_session *session_fuse(struct session *session)
{
    return session->fuse;
}

/* ---- the loop ---- */

void session_loop(struct session *session)
{
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    fuse_loop_cfg_set_clone_fd(config, 0);
    fuse_loop_cfg_set_max_threads(config, LOOP_THREADS);
    session->looper = pthread_self();
    session->looping = 1;
    fuse_session_loop_mt(session->fuse, config);
    session->looping = 2;
    fuse_loop_cfg_destroy(config);
}

/* The loop sleeps on a semaphore and looks at the exit flag only when a signal wakes it. A signal
 * that comes just before it falls asleep is lost, so it is sent until the loop is over. */
void session_exit(struct session *session)
{
    fuse_session_exit(session->fuse);
    while (session->looping == 1) {
        pthread_kill(session->looper, SIGUSR1);
        g_usleep(10000);
    }
}

void session_free(struct session *session)
{
    fuse_session_unmount(session->fuse);
    fuse_session_destroy(session->fuse);
    g_free(session);
}
