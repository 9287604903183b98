/* What happens to mail, from what engines tell, whoever did it: as lines for fs/events.h, and, if
 * it was not done here, as operations for fs/inotify.h.
 *
 * A move is told by the engine as two facts, in either order: a message went from one mailbox, and
 * one with the same object came to another. So a fact that may be half of a move is held for a
 * second; what follows it waits too, so that lines keep their order. If the other half comes
 * meanwhile, both are one line. */
#pragma once

#include "fs/engine/engine.h"
#include "fs/place.h"

/* Starts the thread that writes the lines. `device`: st_dev of the mount, 0: not known; once it is
 * mounted nowhere any more (a lazy unmount) readers are at the end. */
void news_start(const struct mounted *mounted, dev_t device);
/* Nothing more is told; readers are at the end at once, so that they let go of the mount. Any
 * thread, at any time, as often as one likes. */
void news_end(void);
/* Ends the thread. */
void news_stop(void);

/* Each does nothing if nobody listens. In an engine's thread: */
void news_arrived(const struct mounted_account *account, uint32_t folder, uint32_t messages,
                  uint32_t uid, const char *name);
void news_removed(const struct mounted_account *account, uint32_t folder, uint32_t messages,
                  uint32_t uid, const char *name, uint64_t object);
/* Not of a message that is on its way out: then it is part of that. */
void news_flags(const struct mounted_account *account, uint32_t folder, uint32_t messages,
                uint32_t uid, const char *name, const struct engine_flags *is);
/* In any thread. */
void news_folder(const struct mounted_account *account, const struct engine_folder_change *change);
