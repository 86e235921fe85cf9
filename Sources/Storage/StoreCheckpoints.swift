import EventLog
import GRDB
import Primitives

/// A row of the table `checkpoints`, as it is found.
public struct CheckpointRow: Hashable, Sendable {
  public var number: UInt64
  /// What the row says the hash is; nil if it is none.
  public var hash: Hash256?
  /// Made of the other columns, its hash computed; nil if one of them is no hash.
  public var checkpoint: Checkpoint?
  /// What the row says is what its columns come to.
  public var isSound: Bool { checkpoint != nil && checkpoint?.hash == hash }
}

/// The table `checkpoints`: what a replica's `CheckpointList` keeps.
extension Store {
  /// All rows, by rising number, whether or not they are what was written.
  /// - Complexity: O(rows), a few hundred at most in a file that a node wrote.
  public func checkpoints() throws(StoreError) -> [CheckpointRow] {
    try perform { database in
      let select = try statement(
        database,
        "SELECT number, hash, previous, book_hash, log_hash, fills_hash, fills FROM checkpoints ORDER BY number")
      defer { select.reset() }
      var rows: [CheckpointRow] = []
      while try select.step() {
        var row = CheckpointRow(number: select.bits(0), hash: Hash256(stored: select.raw(1)), checkpoint: nil)
        if row.number > 0, let previous = Hash256(stored: select.raw(2)), let book = Hash256(stored: select.raw(3)),
          let log = Hash256(stored: select.raw(4)), let fills = Hash256(stored: select.raw(5))
        {
          row.checkpoint = Checkpoint(
            number: row.number, previous: previous, bookHash: book, logHash: log, fillsHash: fills,
            fills: select.bits(6), sha)
        }
        rows.append(row)
      }
      return rows
    }
  }

  func loadCheckpoints() throws(StoreError) {
    checkpointRows = try checkpoints().map { ($0.number, $0.isSound ? $0.hash ?? .zero : .zero) }
  }

  /// After the transaction.
  func noteRows(_ list: CheckpointList) { checkpointRows = list.kept.map { ($0.number, $0.hash) } }

  /// Makes the table what `list` is: mostly one row more, and a few that are thinned out.
  /// - Complexity: O(kept).
  func replace(with list: CheckpointList, _ database: Database) throws {
    let delete = try statement(database, "DELETE FROM checkpoints WHERE number = ?")
    var place = 0
    for row in checkpointRows {
      while place < list.kept.count, list.kept[place].number < row.number { place += 1 }
      if place < list.kept.count, list.kept[place].number == row.number, list.kept[place].hash == row.hash { continue }
      delete.bind(1, bits: row.number)
      try delete.run()
    }
    place = 0
    for checkpoint in list.kept {
      while place < checkpointRows.count, checkpointRows[place].number < checkpoint.number { place += 1 }
      if place < checkpointRows.count, checkpointRows[place] == (checkpoint.number, checkpoint.hash) { continue }
      try insert(checkpoint, database)
    }
  }

  private func insert(_ checkpoint: Checkpoint, _ database: Database) throws {
    let insert = try statement(
      database,
      """
      INSERT OR REPLACE INTO checkpoints (number, hash, previous, book_hash, log_hash, fills_hash, fills)
      VALUES (?, ?, ?, ?, ?, ?, ?)
      """)
    insert.bind(1, bits: checkpoint.number)
    insert.bind(2, copying: checkpoint.hash.bytes)
    insert.bind(3, copying: checkpoint.previous.bytes)
    insert.bind(4, copying: checkpoint.bookHash.bytes)
    insert.bind(5, copying: checkpoint.logHash.bytes)
    insert.bind(6, copying: checkpoint.fillsHash.bytes)
    insert.bind(7, bits: checkpoint.fills)
    try insert.run()
  }
}
