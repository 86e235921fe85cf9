import EventLog
import Membership
import Primitives
import Storage

/// Why a directory cannot be judged: nothing is said about what it holds.
public struct CannotTell: Error, Hashable, Sendable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// A node's file, opened to look at, and who the origins in it are.
///
/// It shows one moment, whether the node runs or not, and changes nothing.
public final class NodeFile {
  public let store: Store
  /// The newest view that the file knows; nil if it knows none and no member list was given.
  public let decision: Decision?
  let genesis: Genesis?

  /// - Parameters:
  ///   - directory: of the node.
  ///   - genesis: the cluster's member list, if it is at hand: what a file of view 0 lacks.
  ///   - holdingStill: false sees what a running node writes from one reading to the next.
  /// - Throws: `CannotTell`.
  public init(_ directory: String, genesis: Genesis? = nil, holdingStill: Bool = true) throws(CannotTell) {
    let record: [UInt8]?
    do throws(StoreError) {
      store = try Store.openReadOnly(directory: directory, holdingStill: holdingStill)
      record = try store.record(ViewRecord.Key.view.rawValue)
    } catch {
      throw CannotTell("\(error)")
    }
    self.genesis = genesis
    if let genesis, genesis.clusterID != store.identity.cluster {
      throw CannotTell(
        "\(directory) belongs to cluster \(store.identity.cluster.prefix(16)), the member list to "
          + "\(genesis.clusterID.prefix(16)); give the right one")
    }
    guard let record else {
      decision = genesis.map { Decision(genesis: $0) }
      return
    }
    guard case .view(let found)? = try? ViewRecord(key: .view, stored: record) else {
      throw CannotTell("\(directory): the record of the view cannot be read; was it written by a newer version?")
    }
    decision = found
  }

  public var cluster: Hash256 { store.identity.cluster }

  /// Origins by place; what the file's logs name beyond them is not known.
  public var origins: [RegisteredOrigin] { decision?.value.origins ?? [] }

  public func name(_ origin: OriginIndex) -> String {
    origin.int < origins.count && !origins[origin.int].name.isEmpty ? origins[origin.int].name : "origin \(origin)"
  }

  /// The newest origin of a name, or the one at a place.
  public func origin(_ text: String) -> OriginIndex? {
    if let place = UInt32(text), Int(place) < Limits.originsMax { return OriginIndex(place) }
    return decision?.value.register.index(named: text)
  }

  /// Whose file it is, as the register names it.
  public var nodeName: String? { origins.last { $0.origin.node == store.identity.node }?.name }

  public func chainStarts() -> [Hash256] {
    origins.map { HashChain.start(cluster: cluster, origin: $0.origin, SHA256()) }
  }

  /// Everything at or before it is final, as far as the file says.
  public func finalStamp() throws -> Stamp {
    let position = store.auditPosition.stamp
    let audited = position > .zero ? Stamp(position.value - 1) : .zero
    guard let newest = try store.checkpoints().last, newest.number > 0 else { return audited }
    return max(audited, Checkpoint.lastStamp(newest.number))
  }

  /// An entry of the log; nil if it is not there.
  public func entry(_ dot: Dot) throws -> Entry? {
    let found = try store.batches(of: dot.origin, from: dot.sequence, through: dot.sequence, bytesMax: 1)
    guard let sealed = found.first, let batch = try? Batch.decode(sealed, previous: .zero, SHA256()),
      batch.firstSequence <= dot.sequence, dot.sequence <= batch.lastSequence
    else { return nil }
    return batch.entries[Int(dot.sequence - batch.firstSequence)]
  }

  /// Where the logs begin to be kept, by place.
  public var bases: [LogBase] {
    store.logBase.indices.map { place in
      store.base(of: OriginIndex(UInt32(place))) ?? LogBase(head: Head(sequence: 0, hash: .zero), stamp: .zero)
    }
  }

  /// Reads the log in key order, batch by batch as `LogRecovery` gives them; entries by `EntryMerge`.
  /// - Parameters:
  ///   - bases: by place, from where on.
  ///   - body: returns false to end it.
  /// - Returns: what was damaged; of those logs the rest was left out.
  public func readLog(from bases: [LogBase], _ body: (Batch) throws -> Bool) throws -> [LogDamage] {
    let starts = chainStarts()
    var isEnough = false
    var failure: (any Error)?
    do throws(StoreError) {
      return try store.recover(
        chainStart: { $0.int < starts.count ? starts[$0.int] : .zero }, base: bases
      ) { batch in
        do {
          if try body(batch) { return }
          isEnough = true
        } catch {
          failure = error
        }
        throw EnoughRead()
      }.damages
    } catch {
      if let failure { throw failure }
      if isEnough { return [] }
      throw error
    }
  }

  private struct EnoughRead: Error {}

  /// The oldest sound snapshot that stands for all that the log lacks; nil if it lacks nothing.
  /// - Throws: `CannotTell` if there is none.
  public func start() throws -> Snapshot? {
    let base = store.logBase
    if base.isEmpty { return nil }
    for info in store.snapshots {
      let snapshot = try store.snapshot(info)
      let covers = base.indices.allSatisfy { place in
        base[place] == 0 || place < snapshot.bases.count && snapshot.bases[place].head.sequence >= base[place]
      }
      if covers, SHA256().hash(snapshot.bytes) == info.hash { return snapshot }
    }
    throw CannotTell("the log does not begin at its start, and no sound snapshot stands for what is below")
  }
}
