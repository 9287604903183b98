/* Mailbox names for the file side. */
#include "fs/engine/engine.h"
#include "fs/engine/state.h"
#include "imap/imap.h"

char *engine_mailbox_wire(struct engine *engine, const char *text)
{
    return g_atomic_int_get(&engine->utf8) ? g_strdup(text) : imap_utf7_encode(text);
}
