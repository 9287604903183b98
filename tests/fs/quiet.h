/* What is said to the engine and to the kernel by code under test, and goes nowhere. The test
 * itself plays engine_ask() and engine_status_read(). */
#pragma once

#include "fs/engine/engine.h"

/* What engine_sizes() says; RIGHT at first. */
extern enum engine_sizes quiet_sizes;
