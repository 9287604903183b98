/* .mailmount: what the mount says of itself. */
#pragma once

#include "fs/place.h"

/* The text of .mailmount/status, UTF-8, a line a fact. The caller's. */
GBytes *control_status(const struct mounted *mounted);
