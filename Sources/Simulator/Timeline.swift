import Primitives
import Replica

/// The last things that happened at one node, for whoever looks into a failure.
struct Timeline {
  static let momentsMax = 64

  struct Moment {
    var at: UInt64
    var what: What
  }

  enum What {
    case received(from: Int, type: UInt8, bytes: Int)
    case sent(to: Int, type: UInt8, bytes: Int)
    case submitted(submission: Int, commands: Int)
    case accepted(first: Dot, count: Int)
    case refused(String)
    case sync(microseconds: UInt64)
    case synced
    case rolledBack(UInt64)
    case finalised(through: Stamp, count: Int)
    case linkUp(Int)
    case linkDown(Int, String)
    case noticed(Notice)
    case said(String)
  }

  private var moments: [Moment] = []
  private var next = 0
  /// Whoever wants to know each of them.
  var listener: ((What) -> Void)?

  mutating func note(_ what: What, at: UInt64) {
    listener?(what)
    if moments.count < Self.momentsMax {
      moments.append(Moment(at: at, what: what))
    } else {
      moments[next] = Moment(at: at, what: what)
    }
    next = (next + 1) % Self.momentsMax
  }

  /// Oldest first.
  var ordered: [Moment] {
    moments.count < Self.momentsMax ? moments : Array(moments[next...] + moments[..<next])
  }
}

extension Timeline.What {
  private static let frameNames: [UInt8: String] = [
    0x10: "batch", 0x11: "heartbeat", 0x12: "announce", 0x13: "request", 0x14: "digest", 0x15: "vector",
    0x16: "addresses", 0x17: "served", 0x1C: "word",
  ]

  private static func name(_ type: UInt8) -> String { frameNames[type] ?? "frame \(type)" }

  var text: String {
    switch self {
    case .received(let from, let type, let bytes): "← n\(from + 1) \(Self.name(type)) (\(bytes) bytes)"
    case .sent(let to, let type, let bytes): "→ n\(to + 1) \(Self.name(type)) (\(bytes) bytes)"
    case .submitted(let submission, let commands): "client: submission \(submission), \(commands) commands"
    case .accepted(let first, let count): "accepted \(count) from \(first) on"
    case .refused(let reason): "refused: \(reason)"
    case .sync(let microseconds): "sync begins, \(microseconds) µs"
    case .synced: "synced"
    case .rolledBack(let depth): "rolled back \(depth)"
    case .finalised(let through, let count): "final through \(through): \(count) more"
    case .linkUp(let peer): "link to n\(peer + 1) is up"
    case .linkDown(let peer, let reason): "link to n\(peer + 1) is down: \(reason)"
    case .noticed(let notice): notice.description
    case .said(let text): text
    }
  }
}
