import Primitives

/// What a faulty book does after a rollback; see `Defects`.
extension MatchingEngine {
  /// - Parameter before: stops that waited before the rollback.
  mutating func misremember(stopsBefore before: Int) {
    if defects.contains(.dropsRollback) { acceptLateEntries() }
    guard defects.contains(.undoForgetsStop), waitingStops > before else { return }
    // Of those that wait again, the first to be triggered is left out.
    for row in 0..<books.count * 2 {
      let level = stops.best(row, row % 2 == 0 ? .sell : .buy)
      guard level != noSlot else { continue }
      remove(stops.pages[level].head)
      return
    }
  }

  /// The next entry may have any key.
  package mutating func acceptLateEntries() {
    lastKey = .zero
    // The clock may have to go back, which the short way of most entries does not expect.
    quietEnd = 0
  }
}
