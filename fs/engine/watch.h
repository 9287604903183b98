/* Hearing of changes: what other clients do shall be in the cache, and told, within moments.
 *
 *      NOTIFY  one line is told what comes, goes and is renamed in all mailboxes
 *      IDLE    a line that has nothing to do idles in the mailbox that it has selected; mailboxes
 *              in use, those opened in the last minutes or while somebody waits to be told, get
 *              lines of their own for it, as far as one is left for work; the first line goes on
 *              when none is in use any more. Who needs the line ends the IDLE with what he asks
 *      poll    and every account.poll_s seconds all mailboxes are asked for what they hold, in one
 *              round trip where the server has LIST-STATUS
 *
 * What is told of a mailbox that is kept becomes a sync of it, or, if it says all, goes straight to
 * the cache (mirror.h). A list that was true when the watch on it began, and of which nothing was
 * told since, is true: so it is shown without asking.
 */
#pragma once

#include "fs/engine/state.h"
#include "imap/imap.h"

void watch_init(struct engine *engine);
void watch_free(struct engine *engine);

/* Somebody opened the mailbox. */
void watch_used(struct engine *engine, uint32_t folder);
/* Whether it was opened in the last minutes, or, while somebody waits to be told, ever. */
bool watch_in_use(const struct engine *engine, uint32_t folder);
/* When it was opened last, 0: not in the last minutes. */
gint64 watch_used_us(const struct engine *engine, uint32_t folder);
/* Whether all changes of a mailbox since then have been told; where nobody can tell whether it was
 * all of them, for want of modification sequences, not for longer than from poll to poll. */
bool watch_covers(const struct engine *engine, uint32_t folder, gint64 since_us);
/* Writes what was told of it. */
void watch_flush(struct engine *engine, uint32_t folder);

/* The mailbox's list is not true any more: it is synced, if it is in use or kept. */
void watch_sync(struct engine *engine, uint32_t folder);
/* Whether what the server says of a mailbox is what is stored; what it does not say is passed over.
 */
bool watch_fits(const struct imap_status *status, const struct cache_mailbox *mailbox);
/* A poll has ended: of the mailboxes in use whose STATUS does not tell of flags, for want of
 * modification sequences, the ten opened last and five of the others, in turn, are synced, unless
 * they are already. */
void watch_sync_flags(struct engine *engine);
/* Asks for the list of mailboxes now, or once more if that is under way. */
void watch_list(struct engine *engine);
/* All mailboxes were asked for what they hold. */
void watch_polled(struct engine *engine);
/* The next list of mailboxes is a poll. */
void watch_poll_now(struct engine *engine);
/* Whether the next list of mailboxes is a poll, so that without LIST-STATUS it asks for the STATUS
 * of those that are kept. */
bool watch_polls(const struct engine *engine);

/* A new line: before anything else it is asked to NOTIFY, if it is to. */
void watch_opened(struct line *line);
/* Whether it shall stay open, though it has nothing to do. */
bool watch_needs(const struct line *line);
/* The line's events. */
void watch_list_news(struct imap_session *session, const struct imap_list *list, void *data);
void watch_status_news(struct imap_session *session, const struct imap_status *status, void *data);
void watch_overflow(struct imap_session *session, const char *text, void *data);

void watch_tick(struct engine *engine, gint64 now);
/* Whether it wants to be ticked soon. */
bool watch_is_busy(const struct engine *engine);
enum engine_live watch_live(const struct engine *engine);
