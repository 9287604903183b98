/* mailmount --retry: asks running mounts to connect and sign in now. */
#pragma once

#include "fs/command.h"

enum retry_result {
    RETRY_OK,
    RETRY_NO_SERVER, /* it cannot be reached, or trusted */
    RETRY_REFUSED,   /* it lets us not sign in */
    RETRY_NO_MOUNT,  /* nothing is mounted there, or it takes no requests, or does not answer */
};
/* Asks the mount at command->mountpoint, else all mounts of the user, one after the other, and says
 * of each how it went, and of each account that failed why. Returns the worst of what came, with
 * `error` set, one line, unless all is well. */
enum retry_result retry_command(const struct command *command, GError **error);
