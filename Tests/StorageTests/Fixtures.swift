import EventLog
import Foundation
import GRDB
import OrderBook
import Primitives
import Testing

@testable import Storage

/// A directory of its own for one test; gone when the last reference is.
final class TemporaryDirectory {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "rialto-storage-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  var database: String { path + "/" + Store.fileName }
  var writeAheadLog: String { database + "-wal" }

  func open(_ identity: StoreIdentity = .ours) throws -> Store {
    try Store.open(directory: path, identity: identity)
  }

  /// Changes the file behind the store's back, as only damage would.
  func tamper(_ sql: String, _ arguments: StatementArguments = StatementArguments()) throws {
    let queue = try DatabaseQueue(path: database)
    try queue.write { try $0.execute(sql: sql, arguments: arguments) }
    try queue.close()
  }

  /// Copies the files as they are now: what a kill would leave.
  func copyLive() throws -> TemporaryDirectory {
    let copy = try TemporaryDirectory()
    try FileManager.default.copyItem(atPath: database, toPath: copy.database)
    if FileManager.default.fileExists(atPath: writeAheadLog) {
      try FileManager.default.copyItem(atPath: writeAheadLog, toPath: copy.writeAheadLog)
    }
    return copy
  }
}

func fileBytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }
func write(_ bytes: some Sequence<UInt8>, to path: String) throws {
  try Data(bytes).write(to: URL(fileURLWithPath: path))
}

/// The error that `body` throws; a test fails where it throws none.
func storeError(_ body: () throws -> Void, at location: SourceLocation = #_sourceLocation) -> StoreError? {
  do {
    try body()
    Issue.record("nothing was thrown", sourceLocation: location)
    return nil
  } catch {
    #expect(error is StoreError, sourceLocation: location)
    return error as? StoreError
  }
}

extension StoreIdentity {
  static let ours = StoreIdentity(cluster: SHA256().hash([1]), node: NodeID(SHA256().hash([2])))
}

/// Writes batches of several origins, chained as theirs would be.
struct LogWriter {
  private var heads: [OriginIndex: Head] = [:]
  private var milliseconds: UInt64 = 1_700_000_000_000
  private var generator: SeededGenerator
  private let sha = SHA256()

  init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

  static func chainStart(_ origin: OriginIndex) -> Hash256 { SHA256().hash(Array("start \(origin)".utf8)) }

  /// Entries are orders with ever later stamps, so batches made later come later in key order.
  mutating func batch(_ origin: UInt32, entries: Int = 5) -> Batch {
    milliseconds = milliseconds / 1000 * 1000 + 1000
    let orders = (0..<entries).map { index in
      let order = Order(
        instrument: Dot(origin: OriginIndex(0), sequence: 1), account: AccountID(generator.below(50)), side: .sell,
        priceTicks: Int64(generator.below(1 << 40)), quantityLots: Int64(generator.below(1 << 30)) + 1)
      return Entry(stamp: Stamp(milliseconds: milliseconds, counter: UInt16(index)), payload: .command(.order(order)))
    }
    return batch(origin, orders)
  }

  mutating func batch(_ origin: UInt32, _ entries: [Entry]) -> Batch {
    let origin = OriginIndex(origin)
    let head = heads[origin] ?? Head(sequence: 0, hash: Self.chainStart(origin))
    var builder = BatchBuilder(origin: origin, firstSequence: head.sequence + 1)
    for entry in entries { builder.append(entry) }
    let bytes = builder.canonicalBytes()
    let hash = HashChain.link(previous: head.hash, bytes: bytes, sha)
    let signature = Signature(bytes: (0..<64).map { _ in UInt8(generator.below(256)) })
    let batch = Batch(
      origin: origin, firstSequence: head.sequence + 1, entries: builder.entries, bytes: bytes, hash: hash,
      view: generator.below(9), signature: signature!)
    heads[origin] = Head(sequence: batch.lastSequence, hash: hash)
    return batch
  }
}

extension Store {
  /// What a recovery delivers, and its report.
  func recovered(own: OriginIndex? = nil) throws -> (batches: [Batch], report: RecoveryReport) {
    var batches: [Batch] = []
    let report = try recover(own: own, chainStart: LogWriter.chainStart) { batches.append($0) }
    return (batches, report)
  }

  /// All rows of the audit tables as text.
  func auditDump() throws -> [String] {
    try perform { database in
      try ["instruments", "orders", "fills", "rejections", "audit_state"].flatMap { table in
        try Row.fetchAll(database, sql: "SELECT * FROM \(table) ORDER BY 1").map { "\(table) \($0.description)" }
      }
    }
  }
}

extension [Batch] {
  var sealed: [SealedBatch] { map(\.sealed) }
}
