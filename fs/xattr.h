/* Extended attributes of messages, with -o xattr.
 *
 *      user.imap.flags         flags and keywords between spaces; can be set
 *      user.imap.uid, user.imap.uidvalidity, user.imap.internaldate (RFC 3339, UTC),
 * user.imap.mailbox user.imap.emailid       the server's id of the message (EMAILID, X-GM-MSGID),
 * where it has one user.xdg.tags           keywords between commas, those that begin with "$" left
 * out; can be set. A message has the attribute only if it has such keywords user.mime_type of
 * messages and parts
 *
 * Both faces of a message bear them; folders bear user.imap.mailbox and user.imap.uidvalidity.
 */
#pragma once

#include "fs/place.h"

/* Appends the value. 0; ENODATA: the file has no such attribute; ENOTSUP: none of that name space.
 */
int xattr_get(const struct mounted *mounted, uint64_t inode, const char *name, GString *value);
/* Appends the names, each with its NUL. */
int xattr_list(const struct mounted *mounted, uint64_t inode, GString *names);
/* `flags` as of setxattr(2). EINVAL: the value is no list of flags; EPERM: it cannot be changed. */
int xattr_set(const struct mounted *mounted, uint64_t inode, const char *name, const char *value,
              size_t size, int flags);
int xattr_remove(const struct mounted *mounted, uint64_t inode, const char *name);
