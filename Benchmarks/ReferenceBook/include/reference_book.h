#ifndef RIALTO_REFERENCE_BOOK_H
#define RIALTO_REFERENCE_BOOK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A plain price-time order book in C++, to compare with in the same run.
///
/// It is what one writes first, and writes well: a map from price to a level, a linked list of orders in each level, a
/// hash map from id to the order's place. It is not tuned: no pool of nodes, no ladder, no prefetch. And it does less
/// than a replica has to: no undo journal, no hash, no accounts, no changed levels, no other order types.
typedef struct reference_book reference_book;

enum {
  reference_kind_new = 0,
  reference_kind_cancel = 1,
  /// Another price and open quantity, last in its queue; it may trade.
  reference_kind_replace = 2,
};

enum { reference_side_buy = 0, reference_side_sell = 1 };

typedef struct {
  /// Of the order that is placed, cancelled or replaced. A new order's id must not be that of a resting one.
  uint64_t id;
  /// Not read for a cancel, as is the quantity.
  int64_t price;
  int64_t quantity;
  uint8_t kind;
  /// Of a new order.
  uint8_t side;
  /// What a new order cannot trade at once does not rest.
  uint8_t immediate;
} reference_operation;

typedef struct {
  uint64_t maker;
  uint64_t taker;
  int64_t price;
  int64_t quantity;
} reference_fill;

typedef struct {
  uint64_t resting_orders;
  /// Cancels and replaces of orders that do not rest.
  uint64_t refused;
  uint64_t open_buy;
  uint64_t open_sell;
} reference_totals;

reference_book *reference_book_create(void);
void reference_book_destroy(reference_book *book);

/// Applies `count` operations in order; appends what traded to the fills.
void reference_book_apply(reference_book *book, const reference_operation *operations, size_t count);

/// The fills since they were last cleared; valid until the book changes.
const reference_fill *reference_book_fills(const reference_book *book, size_t *count);
void reference_book_clear_fills(reference_book *book);

/// Counts over the whole book: O(orders).
reference_totals reference_book_totals(const reference_book *book);

#ifdef __cplusplus
}
#endif

#endif
