import Foundation

/// Rules of the tree. Each gives what breaks it, as lines for a person; nothing means that it holds.
struct TidyRules {
  /// Values in, effects out: no clock, thread, socket, file, randomness but from a seed, or unordered iteration.
  static let pureTargets = [
    "Primitives", "OrderBook", "EventLog", "Membership", "Gossip", "Replica", "Diagnostics", "Simulator", "Flow",
  ]
  /// What a shell may use of the system, besides its arrows.
  static let systemModules = [
    "Foundation", "FoundationEssentials", "Dispatch", "Glibc", "Synchronization", "GRDBSQLite",
  ]
  static let fileLinesMax = 600
  static let lineColumnsMax = 120

  /// Bounds that nothing in Sources uses, each with its reason.
  static let unusedLimits: [String: String] = [:]
  /// Dictionaries and sets of pure targets that code goes through, as `Target.name`, each with its reason.
  static let unorderedIterations: [String: String] = [:]

  let tree: SourceTree

  // MARK: Arrows and purity

  /// Pure targets import what their arrows say; shells what they can reach, and the system.
  func imports() -> [String] {
    let pattern =
      #/
      ^\s* (?: @\w+ \s+ )* (?: (?: public|package|internal|private|fileprivate ) \s+ )?
      import \s+ (?: (?: struct|class|enum|protocol|func|var|let|typealias ) \s+ )? (\w+)
      /#
    var found: [String] = []
    for file in tree.files(under: "Sources") + tree.files(under: "Benchmarks") {
      let target = tree.manifest.targets.first { file.path.hasPrefix($0.folder + "/") }
      guard let target else {
        found.append("\(file.path): no target of Package.swift has this folder")
        continue
      }
      let isPure = Self.pureTargets.contains(target.name)
      let allowed = isPure ? target.dependencies : tree.manifest.reach(of: target.name) + Self.systemModules
      for index in file.code.indices {
        guard let match = file.code[index].firstMatch(of: pattern) else { continue }
        if !allowed.contains(String(match.1)) { found.append(file.place(index)) }
      }
    }
    return found
  }

  /// Pure targets do not read clocks, draw from the system, use floating point or start tasks.
  func purity() -> [String] {
    let pattern =
      #/
      \bDate\( | \.random\( | \.shuffled\(\) | \.randomElement\(\) | \bTask(?: \. | \s*\{ )
      | \b (?: Double|Float|Float16|Float80|CGFloat ) \b
      | \b (?: ContinuousClock|SuspendingClock|SystemRandomNumberGenerator|DispatchQueue|Thread ) \b
      /#
    return Self.pureTargets.flatMap { tree.files(of: $0) }.flatMap { $0.matches(pattern) }
  }

  // MARK: Text

  /// Invariants are preconditions and errors are typed; what is not done is in the issues, not in the code.
  func forbiddenWords() -> [String] {
    let code = /\bfatalError\(|\btry!/
    let anywhere = /\b(?:TODO|FIXME)\b/.wordBoundaryKind(.simple)
    return tree.files(under: "Sources").flatMap { file in
      file.matches(code) + file.lines.indices.filter { file.lines[$0].contains(anywhere) }.map { file.place($0) }
    }
  }

  func sizes() -> [String] {
    tree.files.flatMap { file in
      var found: [String] = []
      let count = file.lines.last == "" ? file.lines.count - 1 : file.lines.count
      if count > Self.fileLinesMax { found.append("\(file.path): \(count) lines, \(Self.fileLinesMax) at most") }
      for (index, line) in file.lines.enumerated() where line.count > Self.lineColumnsMax {
        found.append("\(file.path):\(index + 1): \(line.count) columns, \(Self.lineColumnsMax) at most")
      }
      return found
    }
  }

  // MARK: Limits

  /// A bound that nothing enforces is a promise that nobody keeps.
  func limits() -> [String] {
    let home = "Sources/Primitives/Limits.swift"
    guard let limits = tree.files.first(where: { $0.path == home }) else { return ["\(home) is not there"] }
    let names = limits.code.flatMap { $0.matches(of: /static let (\w+)/).map { String($0.1) } }
    let others = tree.files(under: "Sources").filter { $0.path != home }
    var found: [String] = names.isEmpty ? ["\(home) names no limit"] : []
    for name in names {
      let use = try? Regex("\\bLimits\\.\(name)\\b").wordBoundaryKind(.simple)
      let isUsed = others.contains { file in file.code.contains { line in use.map { line.contains($0) } ?? false } }
      if !isUsed, Self.unusedLimits[name] == nil { found.append("Limits.\(name) is used nowhere") }
      if isUsed, Self.unusedLimits[name] != nil { found.append("Limits.\(name) is used: no exception is needed") }
    }
    for name in Self.unusedLimits.keys.sorted() where !names.contains(name) {
      found.append("the exception for Limits.\(name) is for nothing")
    }
    return found
  }

  // MARK: Order

  /// The order of a `Dictionary` or `Set` differs from process to process: pure targets look things up in them only.
  ///
  /// By name and per target, so another thing of the same name counts as well; give it another name.
  func unorderedIteration() -> [String] {
    let declaration =
      #/
      \b (?: var|let ) \s+ (\w+)
      (?: \s*:\s* (?: \[ [\w.<>]+ \s*:\s* [^\]]+ \] | (?: Set|Dictionary )< )
        | \s*=\s* (?: \[ [\w.<>]+ \s*:\s* [^\]]+ \]\( | (?: Set|Dictionary )< ) )
      /#
    return Self.pureTargets.flatMap { target -> [String] in
      let files = tree.files(of: target)
      let names = files.flatMap {
        $0.code.flatMap { $0.matches(of: declaration.wordBoundaryKind(.simple)).map { String($0.1) } }
      }
      return Set(names).sorted().flatMap { name -> [String] in
        guard Self.unorderedIterations["\(target).\(name)"] == nil else { return [] }
        let members =
          "map|flatMap|compactMap|filter|forEach|reduce|sorted|enumerated|first|min|max|allSatisfy|keys|values"
        let text = "\\bin (?:self\\.)?\(name)\\b(?!\\[)|(?:^|[^\\w.]|self\\.)\(name)\\.(?:\(members))\\b"
        guard let use = try? Regex<Substring>(text, as: Substring.self) else { return ["no pattern for \(name)"] }
        return files.flatMap { $0.matches(use) }
      }
    }
  }

  // MARK: Scripts and targets

  func scripts() -> [String] {
    var found: [String] = []
    for folder in ["Scripts", ".ci"] {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(tree.root)/\(folder)")) ?? []
      if names.isEmpty { found.append("\(folder) holds nothing") }
      for name in names.sorted() {
        let path = "\(tree.root)/\(folder)/\(name)"
        if !FileManager.default.isExecutableFile(atPath: path) { found.append("\(folder)/\(name) is not executable") }
        if let complaint = Self.bashComplaint(path) { found.append("\(folder)/\(name): \(complaint)") }
      }
    }
    return found
  }

  /// - Returns: what `bash -n` says; nil if it is content.
  static func bashComplaint(_ path: String) -> String? {
    let bash = Process()
    let output = Pipe()
    bash.executableURL = URL(fileURLWithPath: "/bin/bash")
    bash.arguments = ["-n", path]
    bash.standardError = output
    bash.standardOutput = FileHandle.nullDevice
    do { try bash.run() } catch { return "bash cannot be run: \(error)" }
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    bash.waitUntilExit()
    return bash.terminationStatus == 0 ? nil : text.isEmpty ? "bash refuses it" : text
  }

  /// Each target has its folder, and each folder its target.
  func targets() -> [String] {
    let targets = tree.manifest.targets
    var found = targets.filter { !tree.exists($0.folder) }.map { "target \($0.name): there is no folder \($0.folder)" }
    for name in Self.pureTargets where tree.manifest[name] == nil { found.append("there is no target \(name)") }
    for folder in ["Sources", "Benchmarks"] {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(tree.root)/\(folder)")) ?? []
      for name in names.sorted()
      where !name.hasPrefix(".") && !targets.contains(where: { $0.folder == "\(folder)/\(name)" }) {
        found.append("\(folder)/\(name) belongs to no target")
      }
    }
    return found
  }
}
