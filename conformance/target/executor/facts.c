// SPDX-License-Identifier: GPL-2.0-only
/* Runs every probe in a child of its own and prints what came of it as JSON. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "facts.h"

#define PROBE_SECONDS 5 /* the slowest, COLLAPSE, takes some ms on a quiet machine */
#define FACTS_MAX 80

struct answer {
	const struct fact *fact;
	struct finding finding;
};

static const struct fact *const tables[] = {
	facts_of_calls,
	facts_of_behaviour,
	facts_of_mapping,
	facts_of_remote,
	facts_of_machine,
};

/* In the child: nothing that goes wrong here may outlive it. */
static void probe_here(const struct fact *fact, struct finding *f, const struct ground *ground)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	alarm(PROBE_SECONDS);
	fact->probe(f, ground);
	_exit(0);
}

/* Returns -1 if no probe can be run at all. */
static int probe(const struct fact *fact, struct finding *shared, const struct ground *ground)
{
	int status;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	pid = fork();
	if (pid < 0) {
		perror("cannot fork a probe");
		return -1;
	}
	if (!pid)
		probe_here(fact, shared, ground);
	if (waitpid(pid, &status, 0) != pid) {
		perror("cannot wait for a probe");
		return -1;
	}
	if (WIFSIGNALED(status)) {
		shared->known = 0;
		unfound(shared, 0, WTERMSIG(status) == SIGALRM ? "the probe did not end in %d s" :
								 "the probe died of signal %d",
			WTERMSIG(status) == SIGALRM ? PROBE_SECONDS : WTERMSIG(status));
	} else if (!shared->known && !shared->why[0]) {
		unfound(shared, 0, "the probe gave up with exit status %d", WEXITSTATUS(status));
	}
	return 0;
}

static void print_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = *text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ' || c > '~') /* bytes of a path in some encoding or other */
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void print_value(const struct answer *answer)
{
	const struct finding *f = &answer->finding;

	switch (answer->fact->kind) {
	case FACT_BOOL:
		printf("%s", f->number ? "true" : "false");
		break;
	case FACT_NUMBER:
		printf("%lld", f->number);
		break;
	case FACT_TEXT:
		print_string(f->text);
		break;
	case FACT_LIST:
		printf("[%s]", f->text);
		break;
	}
}

static void print_facts(const struct answer *answers, int count)
{
	const char *comma = "";

	printf("{\"facts\": {");
	for (int i = 0; i < count; i++) {
		printf("%s\n  \"%s\": ", i ? "," : "", answers[i].fact->name);
		print_value(&answers[i]);
	}
	printf("\n}, \"undetermined\": {");
	for (int i = 0; i < count; i++) {
		if (answers[i].finding.known)
			continue;
		printf("%s\n  \"%s\": ", comma, answers[i].fact->name);
		print_string(answers[i].finding.why);
		comma = ",";
	}
	printf("\n}}\n");
}

int facts_main(const struct ground *ground)
{
	static struct answer answers[FACTS_MAX];
	struct finding *shared;
	int count = 0;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED) {
		perror("no memory to probe with");
		return 1;
	}
	signal(SIGCHLD, SIG_DFL); /* an inherited SIG_IGN would leave nothing to wait for */
	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (const struct fact *fact = tables[t]; fact->name; fact++) {
			if (count == FACTS_MAX) {
				fprintf(stderr, "more than %d facts: raise FACTS_MAX\n", FACTS_MAX);
				return 1;
			}
			if (probe(fact, shared, ground))
				return 1;
			answers[count].fact = fact;
			answers[count++].finding = *shared;
		}
	print_facts(answers, count);
	return fflush(stdout) ? 1 : 0;
}
