#include "reference_book.h"

#include <algorithm>
#include <list>
#include <map>
#include <unordered_map>
#include <vector>

struct reference_book {
  struct Order {
    uint64_t id;
    int64_t quantity;
  };

  struct Level {
    std::list<Order> orders;
    int64_t total = 0;
  };

  /// One side's levels by price. A side's best level is its last (buy) or first (sell).
  using Levels = std::map<int64_t, Level>;

  /// Where an order rests: with iterators, so that a cancel searches the hash map only.
  struct Place {
    uint8_t side;
    Levels::iterator level;
    std::list<Order>::iterator order;
  };

  Levels levels[2];
  std::unordered_map<uint64_t, Place> places;
  std::vector<reference_fill> fills;
  uint64_t refused = 0;

  void apply(const reference_operation &operation) {
    if (operation.kind == reference_kind_new) {
      enter(operation.id, operation.side, operation.price, operation.quantity, operation.immediate != 0);
      return;
    }
    auto found = places.find(operation.id);
    if (found == places.end()) {
      refused += 1;
      return;
    }
    const uint8_t side = found->second.side;
    remove(found);
    if (operation.kind == reference_kind_replace) {
      enter(operation.id, side, operation.price, operation.quantity, false);
    }
  }

  /// Trades what can trade; the rest of it rests.
  void enter(uint64_t id, uint8_t side, int64_t price, int64_t quantity, bool immediate) {
    const bool buys = side == reference_side_buy;
    Levels &makers = levels[buys ? reference_side_sell : reference_side_buy];
    while (quantity > 0 && !makers.empty()) {
      auto best = buys ? makers.begin() : std::prev(makers.end());
      if (buys ? best->first > price : best->first < price) { break; }
      trade(id, quantity, best->first, best->second);
      if (best->second.orders.empty()) { makers.erase(best); }
    }
    if (quantity > 0 && !immediate) { rest(id, side, price, quantity); }
  }

  /// Trades with one level, oldest order first.
  void trade(uint64_t taker, int64_t &quantity, int64_t price, Level &level) {
    while (quantity > 0 && !level.orders.empty()) {
      Order &maker = level.orders.front();
      const int64_t traded = std::min(quantity, maker.quantity);
      fills.push_back({maker.id, taker, price, traded});
      quantity -= traded;
      maker.quantity -= traded;
      level.total -= traded;
      if (maker.quantity == 0) {
        places.erase(maker.id);
        level.orders.pop_front();
      }
    }
  }

  void rest(uint64_t id, uint8_t side, int64_t price, int64_t quantity) {
    auto level = levels[side].try_emplace(price).first;
    level->second.orders.push_back({id, quantity});
    level->second.total += quantity;
    places.emplace(id, Place{side, level, std::prev(level->second.orders.end())});
  }

  void remove(std::unordered_map<uint64_t, Place>::iterator found) {
    const Place place = found->second;
    Level &level = place.level->second;
    level.total -= place.order->quantity;
    level.orders.erase(place.order);
    if (level.orders.empty()) { levels[place.side].erase(place.level); }
    places.erase(found);
  }
};

reference_book *reference_book_create(void) { return new reference_book(); }

void reference_book_destroy(reference_book *book) { delete book; }

void reference_book_apply(reference_book *book, const reference_operation *operations, size_t count) {
  for (size_t index = 0; index < count; index += 1) { book->apply(operations[index]); }
}

const reference_fill *reference_book_fills(const reference_book *book, size_t *count) {
  *count = book->fills.size();
  return book->fills.data();
}

void reference_book_clear_fills(reference_book *book) { book->fills.clear(); }

reference_totals reference_book_totals(const reference_book *book) {
  uint64_t open[2] = {0, 0};
  for (uint8_t side : {reference_side_buy, reference_side_sell}) {
    for (const auto &level : book->levels[side]) {
      for (const auto &order : level.second.orders) { open[side] += uint64_t(order.quantity); }
    }
  }
  return {book->places.size(), book->refused, open[reference_side_buy], open[reference_side_sell]};
}
