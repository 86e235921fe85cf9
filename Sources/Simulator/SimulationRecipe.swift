import Primitives

/// What makes a run, in the few words that a command line has: a seed, what is drawn from it, and what is changed then.
///
/// Whoever holds one holds the whole run: the profile follows from it, and so does the command that shows it again.
package struct SimulationRecipe: Hashable, Sendable {
  /// Partitions are sets of nodes in one word.
  package static let nodesAllowed = 2...63
  package static let secondsAllowed: ClosedRange<UInt64> = 1...86_400
  package static let secondsDefault: UInt64 = 20
  package static let commandsAllowed = 1...1_000_000_000

  package var seed: UInt64
  package var name: SimulationProfile.Name
  /// Nil lets the seed choose.
  package var nodes: Int?
  package var seconds: UInt64
  /// Settings with another value than the seed draws.
  package var overrides: [ProfileSetting: UInt64] = [:]
  /// Indices of the fault plan that are left out.
  package var without: Set<Int> = []
  package var commandsMax: Int?

  package init(
    seed: UInt64, name: SimulationProfile.Name = .swarm, nodes: Int? = nil, seconds: UInt64 = secondsDefault
  ) {
    self.seed = seed
    self.name = name
    self.nodes = nodes
    self.seconds = seconds
  }

  package var profile: SimulationProfile {
    var profile = SimulationProfile.draw(seed: seed, name: name, nodes: nodes, seconds: seconds)
    for setting in ProfileSetting.allCases {
      if let value = overrides[setting] { profile[setting] = value }
    }
    profile.without = without
    profile.commandsMax = commandsMax
    return profile
  }

  /// Why a run cannot be made of it; nil if it can.
  package var complaint: String? {
    let profile = profile
    if profile.latencyMin > profile.latencyMax {
      return "latency-min (\(profile.latencyMin) µs) is above latency-max (\(profile.latencyMax) µs)"
    }
    if profile.syncMin > profile.syncMax {
      return "sync-min (\(profile.syncMin) µs) is above sync-max (\(profile.syncMax) µs)"
    }
    if let stranger = profile.strangers.first {
      let count = profile.faults.count
      let known = count == 0 ? "has no fault" : "has \(count) faults, 0 to \(count - 1)"
      return "the plan of seed \(seed) \(known): there is no \(stranger) to leave out"
    }
    return nil
  }

  /// After `rialto`; in the order in which a person would give them.
  package var arguments: [String] {
    var words = ["simulate", "--seed", "\(seed)"]
    if let nodes { words += ["--nodes", "\(nodes)"] }
    words += ["--seconds", "\(seconds)", "--profile", name.rawValue]
    let left = profile.faults.indices.filter { without.contains($0) }
    if !left.isEmpty { words += ["--without", IndexList.text(left)] }
    if let commandsMax { words += ["--commands", "\(commandsMax)"] }
    let changes = ProfileSetting.allCases.compactMap { setting in
      overrides[setting].map { "\(setting.rawValue)=\(setting.text($0))" }
    }
    if !changes.isEmpty { words += ["--set", changes.joined(separator: ",")] }
    return words
  }

  /// The command that shows this run again.
  package var command: String { "rialto " + arguments.joined(separator: " ") }
}

extension SimulationProfile {
  /// Indices that are left out of the plan but are not in it, lowest first.
  fileprivate var strangers: [Int] {
    let known = faults.indices.count { without.contains($0) }
    guard known < without.count else { return [] }
    return without.subtracting(faults.indices).sorted()
  }
}

/// Indices on a command line: `0-4,7`.
package enum IndexList {
  /// Above anything that a plan has.
  package static let indexMax = 999_999

  /// - Parameter indices: ascending.
  package static func text(_ indices: [Int]) -> String {
    var parts: [String] = []
    var place = 0
    while place < indices.count {
      var end = place
      while end + 1 < indices.count, indices[end + 1] == indices[end] + 1 { end += 1 }
      parts.append(end == place ? "\(indices[place])" : "\(indices[place])-\(indices[end])")
      place = end + 1
    }
    return parts.joined(separator: ",")
  }

  /// - Returns: nil if the text is not a list of indices.
  package static func parse(_ text: String) -> Set<Int>? {
    var found: Set<Int> = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) ?? -1 }
      guard (1...2).contains(ends.count), let first = ends.first, let last = ends.last, first >= 0, first <= last,
        last <= indexMax
      else { return nil }
      found.formUnion(first...last)
    }
    return found
  }
}

/// A number of a profile that can be given another value than the seed draws.
package enum ProfileSetting: String, CaseIterable, Sendable {
  case fanout
  case transport
  case latencyMin = "latency-min"
  case latencyMax = "latency-max"
  case tail
  case loss
  case duplicates
  case skew
  case drift
  case syncMin = "sync-min"
  case syncMax = "sync-max"
  case clients
  case burst
  case burstCommands = "burst-commands"
  case `repeat`
  case chase

  package var allowed: ClosedRange<UInt64> {
    switch self {
    case .fanout: 1...64
    case .transport: 0...1
    case .latencyMin, .latencyMax, .syncMin, .syncMax: 0...10_000_000
    // A stream that loses everything would send for ever.
    case .loss: 0...900
    case .tail, .duplicates, .repeat, .chase: 0...1_000
    case .skew: 0...60_000
    case .drift: 0...100_000
    case .clients: 1...1_000
    case .burst: 1_000...10_000_000
    case .burstCommands: 1...64
    }
  }

  /// What its numbers count; empty for a plain count.
  package var unit: String {
    switch self {
    case .latencyMin, .latencyMax, .syncMin, .syncMax, .burst: "µs"
    case .tail, .loss, .duplicates, .repeat, .chase: "‰"
    case .skew: "ms"
    case .drift: "ppm"
    case .fanout, .transport, .clients, .burstCommands: ""
    }
  }

  fileprivate func text(_ value: UInt64) -> String {
    guard self == .transport else { return "\(value)" }
    return Self.transports[Int(value)].rawValue
  }

  fileprivate static let transports: [SimulationProfile.Transport] = [.stream, .datagram]

  /// Reads `loss=0,skew=0`; of two values for one setting the last one counts.
  package static func parse(_ text: String) throws(ProfileSettingError) -> [ProfileSetting: UInt64] {
    var found: [ProfileSetting: UInt64] = [:]
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let words = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard words.count == 2 else { throw .malformed(String(part)) }
      guard let setting = ProfileSetting(rawValue: words[0]) else { throw .unknown(words[0]) }
      let value: UInt64?
      if setting == .transport {
        value = transports.firstIndex { $0.rawValue == words[1] }.map { UInt64($0) }
      } else {
        value = UInt64(words[1])
      }
      guard let value, setting.allowed.contains(value) else { throw .outOfRange(setting, words[1]) }
      found[setting] = value
    }
    return found
  }
}

/// Why a text does not change a profile.
package enum ProfileSettingError: Error, Hashable, CustomStringConvertible {
  case malformed(String)
  case unknown(String)
  case outOfRange(ProfileSetting, String)

  package var description: String {
    switch self {
    case .malformed(let text): "'\(text)' is not a setting and its value, such as loss=0"
    case .unknown(let name):
      "there is no setting '\(name)'; there are " + ProfileSetting.allCases.map(\.rawValue).joined(separator: ", ")
    case .outOfRange(.transport, let text): "transport is stream or datagram, not '\(text)'"
    case .outOfRange(let setting, let text):
      "\(setting.rawValue) is a whole number from \(setting.allowed.lowerBound) to \(setting.allowed.upperBound)"
        + "\(setting.unit.isEmpty ? "" : " " + setting.unit), not '\(text)'"
    }
  }
}

extension SimulationProfile {
  package subscript(_ setting: ProfileSetting) -> UInt64 {
    get {
      switch setting {
      case .fanout: UInt64(fanout)
      case .transport: transport == .stream ? 0 : 1
      case .latencyMin: latencyMin
      case .latencyMax: latencyMax
      case .tail: tailPerMille
      case .loss: lossPerMille
      case .duplicates: duplicatePerMille
      case .skew: skewMilliseconds
      case .drift: driftPerMillion
      case .syncMin: syncMin
      case .syncMax: syncMax
      case .clients: UInt64(clients)
      case .burst: burstMicroseconds
      case .burstCommands: UInt64(burstCommands)
      case .repeat: repeatPerMille
      case .chase: chasePerMille
      }
    }
    set {
      precondition(setting.allowed.contains(newValue))
      switch setting {
      case .fanout: fanout = Int(newValue)
      case .transport: transport = ProfileSetting.transports[Int(newValue)]
      case .latencyMin: latencyMin = newValue
      case .latencyMax: latencyMax = newValue
      case .tail: tailPerMille = newValue
      case .loss: lossPerMille = newValue
      case .duplicates: duplicatePerMille = newValue
      case .skew: skewMilliseconds = newValue
      case .drift: driftPerMillion = newValue
      case .syncMin: syncMin = newValue
      case .syncMax: syncMax = newValue
      case .clients: clients = Int(newValue)
      case .burst: burstMicroseconds = newValue
      case .burstCommands: burstCommands = Int(newValue)
      case .repeat: repeatPerMille = newValue
      case .chase: chasePerMille = newValue
      }
    }
  }
}
