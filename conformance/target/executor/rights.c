// SPDX-License-Identifier: GPL-2.0-only
/* Op RIGHTS: what a process, or the other one, may do from now on is less than it might be. */

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "executor.h"

#ifndef CAP_PERFMON
#define CAP_PERFMON 38 /* Linux 5.8 */
#endif

#define OTHER_USER 65534 /* nobody, as most systems have it; any that is not this one would do */

static u32 rights HOT_DATA = RIGHTS_ALL;

#define BIT(number) (1ul << (number))

static long drop_capabilities(u64 lost)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2];
	long err = sys(SYS_capget, &header, sets);

	if (err)
		return err;
	for (u32 i = 0; i < 2; i++) {
		u32 kept = ~(lost >> 32 * i);

		sets[i].effective &= kept;
		sets[i].permitted &= kept;
		sets[i].inheritable &= kept;
	}
	return sys(SYS_capset, &header, sets);
}

/*
 * From here on, in a process that no other program runs in. False when it cannot be.
 * Who may watch performance may read everyone's memory: may_access_mm().
 */
bool rights_limit(u32 limit)
{
	static const u64 lost[] = {
		[RIGHTS_NO_SYS_NICE] = BIT(CAP_SYS_NICE),
		[RIGHTS_NO_SYS_ADMIN] = BIT(CAP_SYS_ADMIN),
		[RIGHTS_OTHER_USER] = BIT(CAP_SYS_PTRACE) | BIT(CAP_PERFMON) | BIT(CAP_SYS_ADMIN),
	};

	rights = limit;
	return limit == RIGHTS_ALL || !drop_capabilities(lost[limit]);
}

/*
 * This process becomes another user, whom the first may not look at. It goes on
 * to look at itself in /proc, which is its own only while it is dumpable.
 */
bool rights_become_other(void)
{
	if (sys(SYS_geteuid) == OTHER_USER)
		return false; /* this user may become itself, which is nobody else */
	return !sys(SYS_setresgid, OTHER_USER, OTHER_USER, OTHER_USER) &&
	       !sys(SYS_setresuid, OTHER_USER, OTHER_USER, OTHER_USER) &&
	       !sys(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
}

/* Has this process given up any? */
bool rights_limited(void)
{
	return rights != RIGHTS_ALL;
}

/* Is the second process to be another user? */
bool rights_other_user(void)
{
	return rights == RIGHTS_OTHER_USER;
}
