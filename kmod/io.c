// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: reads of stored blocks into folios.
 *
 * Neighbours in a file are looked up together, and those of them that are
 * neighbours in the image too are read together, as one piece. Raw blocks go
 * straight into the folios, others by way of a buffer. The page cache of the image
 * is left out where its file system can do that (IOCB_DIRECT) and nothing is in the
 * way (IOCB_NOWAIT): a page that is still to be written, or a lock that a fill holds,
 * or, worse, a writer to the image that waits for this very read. Otherwise, and
 * after any error, a piece is read through that cache, and not left there.
 *
 * Readahead does not wait for its pieces. The last of them to end finishes what was
 * read: it checks and expands the blocks, in a worker if that was an interrupt.
 */
#include <linux/bvec.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/ioprio.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

#include "internal.h"

/* Compressed neighbours may have a gap between them, which is read as well. */
#define PIECE_GAP_MAX INCFS_BLOCK_SIZE
#define PIECE_LEN_MAX (INCFS_EXTENT_BATCH * INCFS_BLOCK_SIZE)

enum piece_kind {
	PIECE_ZERO,			/* nothing is read */
	PIECE_STRAIGHT,			/* raw blocks, read into their folios */
	PIECE_BUFFER,			/* read into a buffer, and expanded from there */
};

/* struct piece - blocks that are neighbours in the image, too */
struct piece {
	struct kiocb iocb;
	struct incfs_io *io;
	enum piece_kind kind;
	u32 nr_blocks;
	u64 start, end;			/* of their bytes, in the image */
	u64 pos;			/* where to begin to read: direct I/O is aligned */
	struct bio_vec *vecs;		/* STRAIGHT */
	u32 nr_vecs;
	struct kvec buf;		/* BUFFER: holds what is at @pos and later */
	bool right;			/* STRAIGHT: all blocks have passed the check */
	int err;
};

struct incfs_io {
	struct incfs_node *node;
	u32 first;			/* block of the file */
	u32 nr_found;			/* blocks that were looked up */
	u32 nr_blocks;			/* that are read */
	u32 nr_folios;
	u32 nr_vecs;
	u32 nr_pieces;
	u32 nr_stored;			/* blocks that come from the image */
	bool verify;			/* of some it is not known that they are right */
	bool finish;			/* they have to be checked or expanded */
	unsigned long *checked;		/* bits of blocks that are known to be right */
	atomic_t left;			/* pieces under way, and one for the submitter */
	struct work_struct work;
	struct incfs_extent extents[INCFS_EXTENT_BATCH];	/* size 0: zeros */
	struct folio *folios[INCFS_EXTENT_BATCH];
	struct bio_vec vecs[INCFS_EXTENT_BATCH];
	struct piece pieces[INCFS_EXTENT_BATCH];
};

static struct kmem_cache *io_cache;
/* Memory may be had only when a read has ended. */
static struct workqueue_struct *io_workqueue;

struct incfs_io *incfs_io_begin(struct incfs_node *node, u32 first, u32 count)
{
	struct incfs_io *io = kmem_cache_alloc(io_cache, GFP_KERNEL);
	int err;

	if (!io)
		return ERR_PTR(-ENOMEM);
	count = min3(count, node->nr_blocks - first, (u32)INCFS_EXTENT_BATCH);
	io->node = node;
	io->first = first;
	io->nr_found = min(count, INCFS_CHECKED_BATCH - first % INCFS_CHECKED_BATCH);
	io->nr_blocks = 0;
	io->nr_folios = 0;
	err = incfs_blocks_lookup(node, first, io->nr_found, io->extents);
	if (!err)
		return io;
	incfs_io_abandon(io);
	return ERR_PTR(err);
}

void incfs_io_abandon(struct incfs_io *io)
{
	kmem_cache_free(io_cache, io);
}

struct incfs_extent *incfs_io_extents(struct incfs_io *io, u32 first, u32 count)
{
	if (first != io->first + io->nr_blocks || io->nr_blocks + count > io->nr_found)
		return NULL;
	return &io->extents[io->nr_blocks];
}

void incfs_io_add(struct incfs_io *io, struct folio *folio, u32 count)
{
	io->folios[io->nr_folios++] = folio;
	io->nr_blocks += count;
}

static enum piece_kind kind_of(const struct incfs_extent *extent)
{
	if (!extent->size)
		return PIECE_ZERO;
	if (extent->size == INCFS_BLOCK_SIZE && !extent->flags &&
	    !(extent->offset % INCFS_BLOCK_SIZE))
		return PIECE_STRAIGHT;
	return PIECE_BUFFER;
}

/* Can the piece read @extent as well? Its bytes come next, or nearly so. */
static bool piece_takes(const struct piece *piece, const struct incfs_extent *extent)
{
	u64 end = extent->offset + extent->size;

	switch (piece->kind) {
	case PIECE_STRAIGHT:
		return extent->offset == piece->end && extent->size == INCFS_BLOCK_SIZE &&
		       !extent->flags;
	case PIECE_BUFFER:
		return extent->offset - piece->end <= PIECE_GAP_MAX &&
		       end - piece->start <= PIECE_LEN_MAX && kind_of(extent) == PIECE_BUFFER;
	default:
		return !extent->size;
	}
}

static struct piece *piece_begin(struct incfs_io *io, const struct incfs_extent *extent)
{
	struct piece *piece = &io->pieces[io->nr_pieces++];

	piece->io = io;
	piece->kind = kind_of(extent);
	piece->nr_blocks = 0;
	piece->start = extent->offset;
	piece->vecs = &io->vecs[io->nr_vecs];
	piece->nr_vecs = 0;
	piece->buf.iov_base = NULL;
	piece->right = false;
	piece->err = 0;
	io->finish |= piece->kind != PIECE_STRAIGHT;
	return piece;
}

/* struct place - where a block goes */
struct place {
	struct folio **folio;
	size_t offset;
	size_t size;			/* of the folio */
};

static struct place first_place(struct incfs_io *io)
{
	return (struct place) { .folio = io->folios, .size = folio_size(io->folios[0]) };
}

/* Move on to the next block, past the last one too. Is it in another folio? */
static bool place_next(struct incfs_io *io, struct place *place)
{
	place->offset += INCFS_BLOCK_SIZE;
	if (place->offset < place->size)
		return false;
	place->offset = 0;
	if (++place->folio < io->folios + io->nr_folios)
		place->size = folio_size(*place->folio);
	return true;
}

/* Part the blocks into pieces, and say where each goes. */
static void plan(struct incfs_io *io)
{
	struct place place = first_place(io);
	const struct incfs_extent *extent;
	struct piece *piece = NULL;
	struct bio_vec *vec = NULL;
	u32 i;

	io->nr_pieces = 0;
	io->nr_vecs = 0;
	for (i = 0; i < io->nr_blocks; i++, place_next(io, &place)) {
		extent = &io->extents[i];
		if (!piece || !piece_takes(piece, extent)) {
			piece = piece_begin(io, extent);
			vec = NULL;
		}
		piece->end = extent->offset + extent->size;
		piece->nr_blocks++;
		if (piece->kind != PIECE_STRAIGHT)
			continue;
		if (vec && place.offset) {
			vec->bv_len += INCFS_BLOCK_SIZE;
			continue;
		}
		vec = &io->vecs[io->nr_vecs++];
		piece->nr_vecs++;
		bvec_set_folio(vec, *place.folio, INCFS_BLOCK_SIZE, place.offset);
	}
}

static bool all_checked(const struct incfs_io *io)
{
	unsigned long first = io->first % INCFS_CHECKED_BATCH;
	unsigned long end = first + io->nr_blocks;

	return io->checked && find_next_zero_bit(io->checked, end, first) >= end;
}

/* Read the piece through the page cache of the image, without leaving it there. */
static int read_buffered(struct piece *piece)
{
	struct incfs_image *image = &piece->io->node->mnt->image;
	size_t len = piece->end - piece->start;
	struct iov_iter iter;
	int err;

	if (piece->kind == PIECE_BUFFER)
		return incfs_image_pread(image, piece->buf.iov_base +
					 (piece->start - piece->pos), len, piece->start);
	iov_iter_bvec(&iter, ITER_DEST, piece->vecs, piece->nr_vecs, len);
	err = incfs_image_read_iter(image, &iter, piece->start);
	incfs_image_forget(image, piece->start, len);
	return err;
}

/*
 * Blocks that lie in memory one after the other are checked as one, which takes
 * less than one by one. If it fails, one by one tells which of them is damaged.
 */
static bool check_together(const struct piece *piece, u32 i)
{
	const struct bio_vec *vec = piece->vecs;
	const void *page;
	u32 n, crc;

	if (IS_ENABLED(CONFIG_HIGHMEM))
		return false;
	for (; vec < piece->vecs + piece->nr_vecs; vec++) {
		page = page_address(vec->bv_page) + vec->bv_offset;
		for (crc = 0, n = vec->bv_len / INCFS_BLOCK_SIZE; n; n--)
			crc = incfs_crc_append(crc, piece->io->extents[i++].crc);
		if (incfs_crc(page, vec->bv_len) != crc)
			return false;
	}
	return true;
}

/* Bring block @i, which came by way of a buffer, into its place. */
static int expand_block(const struct piece *piece, u32 i, void *page, bool check)
{
	struct incfs_io *io = piece->io;
	const struct incfs_extent *extent = &io->extents[i];
	const void *stored = piece->buf.iov_base + (extent->offset - piece->pos);

	if (check && incfs_crc(stored, extent->size) != extent->crc)
		return incfs_blocks_damaged(io->node, io->first + i, extent);
	return incfs_blocks_expand(io->node, io->first + i, extent, stored, page);
}

/* The same for one that is there already. */
static int check_block(struct incfs_io *io, u32 i, void *page, bool check)
{
	u32 len = incfs_block_len(io->node, io->first + i);

	if (check && incfs_crc(page, INCFS_BLOCK_SIZE) != io->extents[i].crc)
		return incfs_blocks_damaged(io->node, io->first + i, &io->extents[i]);
	/* A client may store a whole page for the tail: what is past it is not shown. */
	if (len < INCFS_BLOCK_SIZE)
		memset(page + len, 0, INCFS_BLOCK_SIZE - len);
	return 0;
}

static int finish_block(const struct piece *piece, u32 i, const struct place *place)
{
	struct incfs_io *io = piece->io;
	u32 bit = (io->first + i) % INCFS_CHECKED_BATCH;
	bool check = !io->checked || !test_bit(bit, io->checked);
	void *page = kmap_local_folio(*place->folio, place->offset);
	int err = 0;

	if (piece->kind == PIECE_STRAIGHT)
		err = check_block(io, i, page, check && !piece->right);
	else if (piece->kind == PIECE_BUFFER)
		err = expand_block(piece, i, page, check);
	else
		clear_page(page);
	if (io->checked && check && !err && piece->kind != PIECE_ZERO)
		set_bit(bit, io->checked);
	kunmap_local(page);
	return err;
}

/*
 * A large folio that misses a block would keep the others from their readers: small
 * ones are made when it is asked for again.
 */
void incfs_io_fail_folio(struct folio *folio)
{
	folio_get(folio);
	if (folio_test_large(folio))
		generic_error_remove_folio(folio->mapping, folio);
	folio_end_read(folio, false);
	folio_put(folio);
}

static void end_folio(struct folio *folio, bool ok)
{
	if (!ok) {
		incfs_io_fail_folio(folio);
		return;
	}
	flush_dcache_folio(folio);
	folio_end_read(folio, true);
}

static void io_free(struct incfs_io *io)
{
	u32 i;

	for (i = 0; i < io->nr_pieces; i++)
		if (io->pieces[i].buf.iov_base)
			kvfree(io->pieces[i].buf.iov_base);
	kmem_cache_free(io_cache, io);
}

/*
 * What could be read is there: check and expand it, and end the folios unless
 * @sync. Returns 0, or the first error, which belongs to *@failed. When the last
 * folio has ended, the mount may go.
 */
static int io_finish(struct incfs_io *io, bool sync, u32 *failed)
{
	struct place place = first_place(io);
	struct piece *piece;
	struct folio *folio;
	bool ok = true;
	int err, ret = 0;
	u32 i, left;

	for (i = 0, piece = io->pieces; piece < io->pieces + io->nr_pieces; piece++) {
		if (piece->err && piece->err != -ENOMEM)
			piece->err = read_buffered(piece);
		if (!piece->err && piece->kind == PIECE_STRAIGHT)
			piece->right = !io->verify || check_together(piece, i);
		i += piece->nr_blocks;
	}
	if (!io->checked && READ_ONCE(io->node->mnt->verify_once))
		io->checked = incfs_blocks_checked(io->node, io->first, true);
	incfs_count(io->node->mnt, INCFS_STAT_BLOCKS_READ, io->nr_stored);
	piece = io->pieces;
	left = piece->nr_blocks;
	for (i = 0; i < io->nr_blocks; i++, left--) {
		if (!left)
			left = (++piece)->nr_blocks;
		err = piece->err ?: finish_block(piece, i, &place);
		if (err && !ret) {
			ret = err;
			*failed = io->first + i;
		}
		ok &= !err;
		folio = *place.folio;
		if ((place_next(io, &place) || i + 1 == io->nr_blocks) && !sync) {
			end_folio(folio, ok);
			ok = true;
		}
	}
	io_free(io);
	return ret;
}

static void io_work(struct work_struct *work)
{
	u32 failed;

	io_finish(container_of(work, struct incfs_io, work), false, &failed);
}

/* All has been read, and nothing is to be done to it. May be an interrupt. */
static void io_end(struct incfs_io *io)
{
	struct folio *last = io->folios[io->nr_folios - 1];
	u32 i;

	incfs_count(io->node->mnt, INCFS_STAT_BLOCKS_READ, io->nr_stored);
	for (i = 0; i < io->nr_folios - 1; i++)
		end_folio(io->folios[i], true);
	/* After the last one the module may go. */
	io_free(io);
	end_folio(last, true);
}

static void piece_note(struct piece *piece, ssize_t got)
{
	ssize_t want = piece->end - piece->pos;

	if (got >= want)
		return;
	piece->err = got < 0 ? got : -EIO;
	WRITE_ONCE(piece->io->finish, true);
}

static void piece_complete(struct kiocb *iocb, long got)
{
	struct piece *piece = container_of(iocb, struct piece, iocb);
	struct incfs_io *io = piece->io;

	piece_note(piece, got);
	if (!atomic_dec_and_test(&io->left))
		return;
	if (!READ_ONCE(io->finish)) {
		io_end(io);
		return;
	}
	INIT_WORK(&io->work, io_work);
	queue_work(io_workqueue, &io->work);
}

static void piece_submit(struct piece *piece, bool sync)
{
	struct incfs_image *image = &piece->io->node->mnt->image;
	struct iov_iter iter;
	ssize_t got = -EAGAIN;
	u32 align;

	piece->pos = piece->start;
	if (piece->kind == PIECE_BUFFER) {
		align = image->direct_align ?: 1;
		piece->pos = round_down(piece->start, align);
		piece->buf.iov_len = round_up(piece->end, align) - piece->pos;
		piece->buf.iov_base = kvmalloc(piece->buf.iov_len, GFP_KERNEL);
		if (!piece->buf.iov_base) {
			piece->err = -ENOMEM;
			return;
		}
		iov_iter_kvec(&iter, ITER_DEST, &piece->buf, 1, piece->buf.iov_len);
	} else {
		iov_iter_bvec(&iter, ITER_DEST, piece->vecs, piece->nr_vecs,
			      piece->end - piece->start);
	}
	piece->iocb = (struct kiocb) {
		.ki_filp = image->file,
		.ki_pos = piece->pos,
		.ki_flags = IOCB_DIRECT | IOCB_NOWAIT,
		.ki_ioprio = get_current_ioprio(),
		.ki_complete = sync ? NULL : piece_complete,
	};
	atomic_inc(&piece->io->left);
	if (image->direct_align)
		got = image->file->f_op->read_iter(&piece->iocb, &iter);
	if (got == -EIOCBQUEUED)
		return;
	piece_note(piece, got);
	atomic_dec(&piece->io->left);
}

/* Returns whether all pieces have ended; then it is up to the caller to finish. */
static bool io_start(struct incfs_io *io, bool sync)
{
	struct incfs_node *node = io->node;
	struct piece *piece;

	io->checked = NULL;
	if (READ_ONCE(node->mnt->verify_once))
		io->checked = incfs_blocks_checked(node, io->first, false);
	io->verify = !all_checked(io);
	/* The last block may have an end that is not shown. */
	io->finish = io->verify || io->first + io->nr_blocks == node->nr_blocks;
	plan(io);
	io->nr_stored = 0;
	atomic_set(&io->left, 1);
	for (piece = io->pieces; piece < io->pieces + io->nr_pieces; piece++) {
		if (piece->kind == PIECE_ZERO)
			continue;
		io->nr_stored += piece->nr_blocks;
		piece_submit(piece, sync);
	}
	return atomic_dec_and_test(&io->left);
}

void incfs_io_submit(struct incfs_io *io)
{
	u32 failed;

	if (!io->nr_blocks) {
		incfs_io_abandon(io);
		return;
	}
	if (!io_start(io, false))
		return;
	if (io->finish)
		io_finish(io, false, &failed);
	else
		io_end(io);
}

int incfs_io_read(struct incfs_io *io, u32 *failed)
{
	io_start(io, true);
	return io_finish(io, true, failed);
}

int __init incfs_io_init(void)
{
	io_cache = kmem_cache_create("incfs_io", sizeof(struct incfs_io), 0, SLAB_NO_MERGE,
				     incfs_construct);
	if (!io_cache)
		return -ENOMEM;
	io_workqueue = alloc_workqueue("incfs_read", WQ_UNBOUND | WQ_MEM_RECLAIM | WQ_HIGHPRI, 0);
	if (io_workqueue)
		return 0;
	kmem_cache_destroy(io_cache);
	return -ENOMEM;
}

void incfs_io_exit(void)
{
	destroy_workqueue(io_workqueue);
	kmem_cache_destroy(io_cache);
}
