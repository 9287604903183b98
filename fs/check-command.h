/* mailmount --check: tries accounts step by step and says what works. */
#pragma once

#include "fs/command.h"

enum check_status { CHECK_OK, CHECK_CONFIG, CHECK_NETWORK, CHECK_LOGIN, CHECK_INTERRUPTED };
/* Writes a line a step to standard output, of each account that command->source means. One that
 * fails keeps the others from nothing. Returns what the first of them failed of. */
enum check_status check_command(const struct command *command);
