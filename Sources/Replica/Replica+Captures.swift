import EventLog
import OrderBook
import Primitives

/// The final book at a point that two replicas can both come by, for those who compare them.
extension Replica {
  /// Books that are waited for at once.
  public static let capturesMax = 8

  struct CaptureRequest: Sendable {
    var id: UInt64
    var stamp: Stamp
    var isRaw: Bool
    var levels: [LevelName]?
  }

  /// What was asked for: everything final up to a stamp, and nothing else.
  public struct CapturedBook: Sendable {
    public let id: UInt64
    /// Everything final up to here is in it.
    public let stamp: Stamp
    /// Hash of the vector of the entries that it has applied.
    public let finalVector: Hash256
    public let image: BookImage
  }

  public enum CaptureOutcome: Sendable {
    case ready(CapturedBook)
    /// `takeCaptures` gives it when everything up to its stamp is final.
    case pending
    /// More than that is final already.
    case passed(Stamp)
    case tooMany
  }

  /// Hash of the vector of final entries.
  public func finalVectorHash() -> Hash256 { VersionVector(sequencer.logs.map(\.final)).hash(sha) }

  /// The newest stamp that a final entry has.
  public var newestFinalStamp: Stamp { sequencer.finalKey.stamp }

  /// Asks for the final book, now or when it has come to a stamp.
  /// - Parameters:
  ///   - id: by which it is known; not one that waits.
  ///   - stamp: nil for what is final now.
  /// - Complexity: that of `BookImage`, and O(tentative entries).
  public mutating func capture(
    _ id: UInt64, at stamp: Stamp?, isRaw: Bool, levels: [LevelName]?
  ) -> CaptureOutcome {
    guard let stamp else {
      return .ready(image(CaptureRequest(id: id, stamp: viewStamp, isRaw: isRaw, levels: levels)))
    }
    if newestFinalStamp > stamp { return .passed(newestFinalStamp) }
    if viewStamp >= stamp {
      return .ready(image(CaptureRequest(id: id, stamp: stamp, isRaw: isRaw, levels: levels)))
    }
    guard captures.count < Self.capturesMax else { return .tooMany }
    captures.append(CaptureRequest(id: id, stamp: stamp, isRaw: isRaw, levels: levels))
    return .pending
  }

  /// It is not waited for any more.
  public mutating func dropCapture(_ id: UInt64) { captures.removeAll { $0.id == id } }

  /// Those that have come since the last call.
  public mutating func takeCaptures() -> [CapturedBook] {
    if captured.isEmpty { return [] }
    defer { captured.removeAll() }
    return captured
  }

  /// Makes final what is asked for, stamp by stamp, and holds it.
  /// - Returns: false if there was too much for one step: then nothing beyond may become final before the next.
  mutating func serveCaptures(_ effects: inout [Effect]) -> Bool {
    while let place = captures.indices.min(by: { captures[$0].stamp < captures[$1].stamp }) {
      let stamp = captures[place].stamp
      guard stamp <= gossip.frontier.final else { return true }
      guard closeCheckpoints(through: stamp, &effects) else { return false }
      apply(through: stamp)
      finalizeApplied(through: stamp, &effects)
      guard sequencer.appliedReach(of: stamp) == stamp else { return false }
      captured.append(image(captures.remove(at: place)))
    }
    return true
  }

  private mutating func image(_ request: CaptureRequest) -> CapturedBook {
    let vector = finalVectorHash()
    let image = sequencer.withFinalBook { engine in
      BookImage(&engine, isRaw: request.isRaw, levels: request.levels)
    }
    return CapturedBook(id: request.id, stamp: request.stamp, finalVector: vector, image: image)
  }
}
