import Foundation

/// One Swift file, as text and as code: the same lines without comments and string literals.
struct SourceText: Sendable {
  /// From the root of the repository.
  let path: String
  let lines: [String]
  let code: [String]

  init(path: String, text: String) {
    self.path = path
    lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    code = Self.code(of: text).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  /// The target that the file belongs to: the folder below `Sources`, `Tests` or `Benchmarks`.
  var target: String {
    let parts = path.split(separator: "/")
    return parts.count > 1 ? String(parts[1]) : ""
  }

  var name: String { String(path.split(separator: "/").last ?? "") }

  /// Lines of code that `pattern` is found in, as `path:line: text`.
  func matches(_ pattern: Regex<Substring>) -> [String] {
    // By default `\b` follows Unicode, for which `keys.sorted` is one word.
    let pattern = pattern.wordBoundaryKind(.simple)
    return code.indices.filter { code[$0].contains(pattern) }.map { place($0) }
  }

  func place(_ index: Int) -> String {
    "\(path):\(index + 1): \(lines[index].trimmingCharacters(in: .whitespaces))"
  }

  private enum State {
    case code
    case lineComment
    /// Closed by three quotes if `isLong`, else by one.
    case string(isLong: Bool)
  }

  /// Code within an interpolation counts as code; raw strings are not told from others.
  private static func code(of text: String) -> String {
    let characters = Array(text.unicodeScalars)
    var out = String.UnicodeScalarView()
    var state = State.code
    /// Strings that wait for the end of an interpolation, and how many parentheses are open in it.
    var waiting: [(isLong: Bool, depth: Int)] = []
    var index = 0
    func has(_ word: String) -> Bool { characters[index...].starts(with: word.unicodeScalars) }
    while index < characters.count {
      let character = characters[index]
      switch state {
      case .lineComment:
        if character == "\n" {
          state = .code
          out.append(character)
        }
      case .string(let isLong):
        if character == "\n" {
          out.append(character)
        } else if has("\\(") {
          waiting.append((isLong, 0))
          state = .code
          index += 1
        } else if character == "\\" {
          index += 1
        } else if isLong ? has("\"\"\"") : character == "\"" {
          if isLong { index += 2 }
          state = .code
          out.append("\"")
        }
      case .code:
        if has("//") {
          state = .lineComment
        } else if has("\"\"\"") {
          state = .string(isLong: true)
          out.append("\"")
          index += 2
        } else if character == "\"" {
          state = .string(isLong: false)
          out.append("\"")
        } else if character == ")", let last = waiting.last, last.depth == 0 {
          waiting.removeLast()
          state = .string(isLong: last.isLong)
        } else {
          if !waiting.isEmpty, character == "(" { waiting[waiting.count - 1].depth += 1 }
          if !waiting.isEmpty, character == ")" { waiting[waiting.count - 1].depth -= 1 }
          out.append(character)
        }
      }
      index += 1
    }
    return String(out)
  }
}

/// The files of the repository that rules speak of.
struct SourceTree: Sendable {
  let root: String
  let files: [SourceText]
  let manifest: Manifest

  /// The repository that this file is part of.
  static func load(from file: String = #filePath) throws -> SourceTree {
    let root = URL(fileURLWithPath: file).resolvingSymlinksInPath().deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().path
    var files: [SourceText] = []
    for folder in ["Sources", "Tests", "Benchmarks"] {
      guard let names = FileManager.default.enumerator(atPath: "\(root)/\(folder)") else { continue }
      for case let name as String in names where name.hasSuffix(".swift") {
        let text = try String(contentsOfFile: "\(root)/\(folder)/\(name)", encoding: .utf8)
        files.append(SourceText(path: "\(folder)/\(name)", text: text))
      }
    }
    files.sort { $0.path < $1.path }
    let manifest = Manifest(try String(contentsOfFile: "\(root)/Package.swift", encoding: .utf8))
    return SourceTree(root: root, files: files, manifest: manifest)
  }

  func files(under folder: String) -> [SourceText] { files.filter { $0.path.hasPrefix(folder + "/") } }
  func files(of target: String) -> [SourceText] { files.filter { $0.path.hasPrefix("Sources/\(target)/") } }

  func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: "\(root)/\(path)") }
}

/// What `Package.swift` says of its targets, as far as text tells.
struct Manifest: Sendable {
  struct Target: Sendable, Equatable {
    var kind: String
    var name: String
    var path: String?
    /// Names of targets, and of products' modules.
    var dependencies: [String]

    var folder: String { path ?? (kind == "testTarget" ? "Tests/\(name)" : "Sources/\(name)") }
  }

  let targets: [Target]

  init(_ text: String) {
    // `let deque: Target.Dependency = .product(name: "DequeModule", package: "…")`
    var products: [String: String] = [:]
    for match in text.matches(of: /let (\w+): Target\.Dependency = \.product\(name: "(\w+)"/) {
      products[String(match.1)] = String(match.2)
    }
    let start = /\.(target|systemLibrary|executableTarget|testTarget)\(\s*name: "(\w+)"/
    let matches = text.matches(of: start)
    targets = matches.indices.map { index in
      let end = index + 1 < matches.count ? matches[index + 1].range.lowerBound : text.endIndex
      let body = text[matches[index].range.upperBound..<end]
      let list = body.firstMatch(of: /dependencies: \[([^\]]*)\]/)?.1 ?? ""
      let dependencies = list.split(separator: ",").map { item -> String in
        let item = item.trimmingCharacters(in: .whitespacesAndNewlines)
        return item.hasPrefix("\"") ? item.trimmingCharacters(in: ["\""]) : products[item] ?? item
      }
      return Target(
        kind: String(matches[index].1), name: String(matches[index].2),
        path: (body.firstMatch(of: /path: "([^"]+)"/)?.1).map(String.init),
        dependencies: dependencies.filter { !$0.isEmpty })
    }
  }

  subscript(name: String) -> Target? { targets.first { $0.name == name } }

  /// What a target can reach by its arrows, and its dependencies by theirs.
  func reach(of name: String) -> [String] {
    var found: [String] = []
    var waiting = self[name]?.dependencies ?? []
    while let next = waiting.popLast() {
      guard !found.contains(next) else { continue }
      found.append(next)
      waiting += self[next]?.dependencies ?? []
    }
    return found
  }
}
