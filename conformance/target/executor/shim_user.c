// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of the caller that may not be there, or not be accessible: copied by the kernel, which
 * gives an error where an access of our own would give a signal.
 *
 * process_vm_readv() and process_vm_writev() on oneself pin what they call the remote side and
 * access the local side with copy_to_user() and copy_from_user(). The caller's memory is made the
 * local side, so that it is accessed exactly as by a system call: secretmem and mappings that
 * grow down included, which cannot be pinned.
 */
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shim_types.h"

long shim_result(long ret)
{
	return ret < 0 ? -errno : ret;
}

static int copy_result(long done, size_t size)
{
	if (done >= 0)
		return (size_t)done == size ? 0 : -EFAULT;
	return done == -EFAULT ? -EFAULT : -ENOSYS; /* a kernel, or a filter, without the calls */
}

/* 0, -EFAULT, or -ENOSYS. */
int shim_fetch(void *to, uintptr_t from, size_t size)
{
	struct iovec user = { .iov_base = (void *)from, .iov_len = size };
	struct iovec own = { .iov_base = to, .iov_len = size };

	return copy_result(shim_result(process_vm_writev(getpid(), &user, 1, &own, 1, 0)), size);
}

/* As shim_fetch(). Before an -EFAULT, everything up to the first byte at fault is written. */
int shim_store(uintptr_t to, const void *from, size_t size)
{
	struct iovec user = { .iov_base = (void *)to, .iov_len = size };
	struct iovec own = { .iov_base = (void *)from, .iov_len = size };

	return copy_result(shim_result(process_vm_readv(getpid(), &user, 1, &own, 1, 0)), size);
}
