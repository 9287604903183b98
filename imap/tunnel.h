/* A command whose standard input and output are the connection, such as `ssh host imapd`. Private
 * to imap/. */
#pragma once

#include "imap/imap.h"

struct imap_tunnel;

/* Runs `command` with sh -c in the folder "/", in a session and process group of its own, with
 * nothing of ours open. What it says on standard error goes to the log, a bounded number of bounded
 * lines. `fd` becomes our end of its standard input and output: non-blocking, close-on-exec, the
 * caller's. Returns NULL with IMAP_ERROR_CONNECT set; never waits for what the command does. */
struct imap_tunnel *imap_tunnel_start(const char *command, int *fd, GError **error);
/* Ends the command and all of its group: SIGTERM at once, SIGKILL to what is there 2 s later. Does
 * not wait for it. */
void imap_tunnel_free(struct imap_tunnel *tunnel);
typedef struct imap_tunnel imap_tunnel; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imap_tunnel, imap_tunnel_free)

/* How it ended and the last line that it said on standard error, one line ("ended with status 255:
 * Permission denied"), the caller's. Waits so long for the end; NULL: it still runs. */
char *imap_tunnel_end(struct imap_tunnel *tunnel, gint64 wait_us);
