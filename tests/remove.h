/* What tests make on the disk, they remove. */
#pragma once

/* Removes a file, or a directory and all in it. */
void remove_tree(const char *path);
