/* What the service manager is told: sd_notify(3), of a unit with Type=notify. */
#pragma once

/* Sends lines of NAME=VALUE to $NOTIFY_SOCKET, and after them "STATUS=" with `status` (NULL: none)
 * made safe, so that no line of its own can be in it. Without the socket nothing happens. Never
 * blocks; to be called by the unit's main process. */
void systemd_notify(const char *lines, const char *status);
