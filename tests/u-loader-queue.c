// SPDX-License-Identifier: GPL-2.0-only
/* What is fetched next: order, and nothing twice. */
#include "lib/tap.h"

#include "list.h"
#include "queue.h"

static struct incfs_list list;
static struct incfs_files files;
static struct incfs_queue queue;

static void set_up(void)
{
	static const char text[] =
		"incfs-list 1\n"
		"f 0644 400000 a\n"	/* 98 blocks */
		"f 0644 0 empty\n"
		"f 0644 5000 z\n"	/* 2 blocks */
		"end 3\n";
	char *copy = strdup(text);

	if (incfs_list_parse(&list, copy, strlen(copy)) || incfs_files_create(&files, &list))
		abort();
	for (size_t i = 0; i < list.nr_entries; i++)
		list.entries[i].ino = 10 - i;
	incfs_files_set_inodes(&files);
	incfs_queue_init(&queue, &files);
}

static void tear_down(void)
{
	incfs_files_destroy(&files);
	incfs_list_destroy(&list);
}

static void is_next(enum incfs_class class, __u32 max, size_t file, __u32 first, __u32 count,
		    const char *name)
{
	struct incfs_range range = {};
	bool taken = incfs_queue_take(&queue, class, max, 1000, &range);

	ok(taken && range.file == &files.files[file] && range.first == first &&
	   range.count == count, "%s", name);
	if (taken && (range.first != first || range.count != count))
		diag("got '%s' %u+%u", range.file->entry->path, range.first, range.count);
}

static void is_empty(enum incfs_class class, const char *name)
{
	struct incfs_range range;

	ok(!incfs_queue_take(&queue, class, 1000, 1000, &range), "%s", name);
}

static void test_demand(void)
{
	struct incfs_file *a = &files.files[0], *z = &files.files[2];

	incfs_queue_add_demand(&queue, a, 50, 1);
	incfs_queue_add_demand(&queue, z, 1, 1);
	incfs_queue_add_demand(&queue, a, 50, 1);
	incfs_queue_add_demand(&queue, z, 2, 1);
	ok(queue.nr_demand == 2, "a demand is queued once, and none past the end");
	is_next(INCFS_DEMAND, 8, 0, 50, 8, "the oldest demand comes first, with its neighbours");
	is_next(INCFS_DEMAND, 8, 2, 1, 1, "neighbours end with the file");
	is_empty(INCFS_DEMAND, "nothing is taken twice");
	incfs_queue_add_demand(&queue, a, 55, 1);
	is_empty(INCFS_DEMAND, "what is on its way is not taken again");
	incfs_queue_put_back(&queue, &(struct incfs_range){ a, 50, 8 });
	incfs_queue_add_demand(&queue, a, 55, 1);
	is_next(INCFS_DEMAND, 8, 0, 55, 8, "what failed can be asked for again");
	incfs_files_present(&files, a, 55, 8);
	incfs_blocks_clear(a->busy, 55, 8);
	incfs_queue_add_demand(&queue, a, 55, 1);
	is_empty(INCFS_DEMAND, "what is stored is not taken");
	incfs_queue_add_demand(&queue, a, 53, 1);
	is_next(INCFS_DEMAND, 8, 0, 53, 2, "neighbours end at what is stored");
	incfs_queue_add_demand(&queue, a, 0, 20);
	is_next(INCFS_DEMAND, 8, 0, 0, 8, "a long demand is taken in parts: one");
	is_next(INCFS_DEMAND, 8, 0, 8, 8, "a long demand is taken in parts: two");
	is_next(INCFS_DEMAND, 8, 0, 16, 8, "a long demand is taken in parts: three");
	is_empty(INCFS_DEMAND, "and then it is through");
	a->retry_at = 2000;
	incfs_queue_add_demand(&queue, a, 90, 1);
	incfs_queue_add_demand(&queue, z, 0, 1);
	is_next(INCFS_DEMAND, 8, 2, 0, 1, "a file that failed does not hold up others");
	is_empty(INCFS_DEMAND, "and is not tried before its time");
	a->retry_at = 0;
	is_next(INCFS_DEMAND, 8, 0, 90, 8, "but then");
}

static void test_ahead(void)
{
	struct incfs_file *a = &files.files[0], *z = &files.files[2];

	incfs_queue_burst(&queue);
	incfs_queue_add_ahead(&queue, a, 10, 5, 1);
	incfs_queue_add_ahead(&queue, a, 20, 5, 1);
	incfs_queue_add_ahead(&queue, z, 0, 1, 7);
	incfs_queue_burst(&queue);
	incfs_queue_add_ahead(&queue, a, 40, 3, 1);
	incfs_queue_add_ahead(&queue, a, 43, 2, 1);
	incfs_queue_add_ahead(&queue, a, 60, 0xffffffff, 1);
	incfs_queue_add_ahead(&queue, a, 98, 1, 9);
	is_next(INCFS_AHEAD, 64, 2, 0, 1, "the greatest priority comes first");
	is_next(INCFS_AHEAD, 64, 0, 40, 5, "of equals the newest burst; what touches is joined");
	is_next(INCFS_AHEAD, 32, 0, 60, 32, "in the order in which it came, in parts");
	is_next(INCFS_AHEAD, 32, 0, 92, 6, "up to the end of the file");
	incfs_files_present(&files, a, 12, 1);
	is_next(INCFS_AHEAD, 64, 0, 10, 2, "then the burst before; what is stored is left out");
	is_next(INCFS_AHEAD, 64, 0, 13, 2, "and what follows that is not");
	is_next(INCFS_AHEAD, 64, 0, 20, 5, "the last one");
	is_empty(INCFS_AHEAD, "nothing is left");
	for (unsigned int i = 0; i < INCFS_QUEUE_AHEAD + 10; i++)
		incfs_queue_add_ahead(&queue, a, i % 2, 1, i);
	ok(queue.nr_ahead == INCFS_QUEUE_AHEAD, "the queue has a bound");
	ok(queue.ahead[0].priority == 10 &&
	   queue.ahead[INCFS_QUEUE_AHEAD - 1].priority == INCFS_QUEUE_AHEAD + 9,
	   "a full one keeps the best");
}

static void test_background(void)
{
	struct incfs_file *a = &files.files[0];
	struct incfs_range range;

	incfs_files_present(&files, a, 0, 3);
	incfs_queue_add_demand(&queue, a, 20, 1);
	is_next(INCFS_DEMAND, 4, 0, 20, 4, "demand");
	is_next(INCFS_BACKGROUND, 64, 0, 3, 17, "the rest in order, around what is there");
	is_next(INCFS_BACKGROUND, 64, 0, 24, 64, "and around what is on its way");
	is_next(INCFS_BACKGROUND, 64, 0, 88, 10, "to the end of the file");
	is_next(INCFS_BACKGROUND, 64, 2, 0, 2, "and on in the next, past the empty one");
	is_empty(INCFS_BACKGROUND, "everything is on its way");
	range = (struct incfs_range){ a, 5, 2 };
	incfs_queue_put_back(&queue, &range);
	is_next(INCFS_BACKGROUND, 64, 0, 5, 2, "what failed comes again");
	incfs_queue_put_back(&queue, &range);
	a->retry_at = 2000;
	is_empty(INCFS_BACKGROUND, "but not before its time");
}

static void test_files(void)
{
	struct incfs_file *a = &files.files[0];
	__u32 start;

	ok(incfs_files_find(&files, 10) == a && incfs_files_find(&files, 8) == &files.files[2],
	   "files are found by number");
	ok(!incfs_files_find(&files, 11), "and others are not");
	incfs_files_present(&files, a, 60, 10);
	incfs_files_present(&files, a, 65, 10);
	ok(files.nr_present == 15 && a->nr_present == 15, "stored blocks count once");
	ok(incfs_file_find_open(a, 60, 98, 98, &start) == 23 && start == 75, "open blocks are found");
	ok(incfs_file_find_open(a, 0, 98, 98, &start) == 60 && start == 0, "across words");
	incfs_files_absent(&files, a, 70);
	incfs_files_absent(&files, a, 70);
	ok(files.nr_present == 14, "a lost block counts once");
	ok(incfs_file_find_open(a, 61, 98, 98, &start) == 1 && start == 70, "and is open");
	ok(!incfs_file_find_open(a, 98, 200, 98, &start), "nothing is open past the end");
}

int main(void)
{
	void (*tests[])(void) = { test_demand, test_ahead, test_background, test_files };

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		set_up();
		tests[i]();
		tear_down();
	}
	return done();
}
