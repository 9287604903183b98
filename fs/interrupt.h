/* Signals that cancel: for what a person waits for at a terminal before there is a mount. */
#pragma once

#include <gio/gio.h>

struct interrupt;
/* From here on SIGINT, SIGTERM and SIGHUP cancel, and a system call of the calling thread that
 * waits, such as the one that reads a password, ends with EINTR. Called with one thread only, since
 * signals are blocked in those that come after. */
struct interrupt *interrupt_new(void);
/* Cancelled by the signal; owned by `interrupt`. */
GCancellable *interrupt_cancel(const struct interrupt *interrupt);
/* The signals are again as they were. By the thread that made it. */
void interrupt_free(struct interrupt *interrupt);
typedef struct interrupt interrupt; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(interrupt, interrupt_free)
