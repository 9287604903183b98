/* Work that cannot be interrupted, in a thread of its own that is left behind when we stop waiting
 * for it. Private to imap/. */
#pragma once

#include "imap/dial.h"

/* Runs work(data) in another thread and waits for it as `wait` says; meanwhile `data` is the
 * thread's alone. True: it is done. False with IMAP_ERROR_TIMEOUT or _CANCELLED set: it goes on, so
 * nothing but its end may touch `data` again. `release` is called in either case when both sides
 * are through with it, in whichever thread that is. */
bool imap_aside(void (*work)(void *data), void *data, GDestroyNotify release,
                const struct imap_wait *wait, GError **error);
