/* mailmount --list: the accounts of the configuration, and where they are mounted. */
#pragma once

#include <stdbool.h>

#include "fs/command.h"

/* Writes a line an account to standard output: those of the configuration, then others that the
 * user has mounted. False: the configuration cannot be read, and a message was written. */
bool list_command(const struct command *command);
