import Foundation
import Testing

/// The tree polices itself: what no compiler checks, and what a review would otherwise have to look for each time.
@Suite("Tidy")
struct TidyTests {
  static let rules: [(name: String, check: @Sendable (TidyRules) -> [String])] = [
    ("imports follow the arrows", { $0.imports() }),
    ("pure targets are pure", { $0.purity() }),
    ("no forbidden words", { $0.forbiddenWords() }),
    ("files and lines are short enough", { $0.sizes() }),
    ("every limit is used", { $0.limits() }),
    ("pure targets iterate nothing unordered", { $0.unorderedIteration() }),
    ("scripts are sound", { $0.scripts() }),
    ("targets have folders, folders have targets", { $0.targets() }),
  ]

  @Test("the repository keeps the rule", arguments: rules.map(\.name))
  func keeps(name: String) throws {
    let tree = try SourceTree.load()
    #expect(tree.files.count > 100 && tree.manifest.targets.count > 10, "the tree was not found at \(tree.root)")
    let rule = try #require(Self.rules.first { $0.name == name })
    let found = rule.check(TidyRules(tree: tree))
    #expect(found.isEmpty, "\(name):\n\(found.joined(separator: "\n"))")
  }
}

/// A rule that cannot fail is none: each is shown something that breaks it, and something near it that does not.
@Suite("Tidy rules can fail")
struct TidyMutationTests {
  static let manifest = """
    let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
    targets: [
      .target(name: "Primitives", dependencies: ["COpenSSL"], swiftSettings: strict),
      .target(
        name: "Replica", dependencies: ["Primitives", deque],
        swiftSettings: strict),
      .target(name: "Node", dependencies: ["Replica"]),
      .executableTarget(name: "Pipeline", dependencies: ["Replica"], path: "Benchmarks/Pipeline"),
      .testTarget(name: "ReplicaTests", dependencies: ["Replica"]),
    ]
    """

  /// A tree with one file more than the limits that nothing else uses.
  static func rules(_ path: String, _ text: String, limits: String = "", root: String = "/nonexistent") -> TidyRules {
    let files = [
      SourceText(path: path, text: text),
      SourceText(path: "Sources/Primitives/Limits.swift", text: "enum Limits {\n\(limits)\n}"),
    ]
    return TidyRules(tree: SourceTree(root: root, files: files, manifest: Manifest(manifest)))
  }

  @Test("the manifest is read: names, kinds, paths, arrows, products")
  func manifest() {
    let manifest = Manifest(Self.manifest)
    #expect(manifest.targets.map(\.name) == ["Primitives", "Replica", "Node", "Pipeline", "ReplicaTests"])
    #expect(manifest["Replica"]?.dependencies == ["Primitives", "DequeModule"])
    #expect(manifest["Pipeline"]?.folder == "Benchmarks/Pipeline")
    #expect(manifest["ReplicaTests"]?.folder == "Tests/ReplicaTests")
    #expect(manifest.reach(of: "Node").sorted() == ["COpenSSL", "DequeModule", "Primitives", "Replica"])
  }

  @Test(
    "imports beyond the arrows are found",
    arguments: [
      ("Sources/Replica/A.swift", "import Foundation", false), ("Sources/Replica/A.swift", "import Glibc", false),
      ("Sources/Replica/A.swift", "import NIOCore", false), ("Sources/Replica/A.swift", "import Node", false),
      ("Sources/Replica/A.swift", "@preconcurrency import Dispatch", false),
      ("Sources/Replica/A.swift", "import struct Foundation.Date", false),
      ("Sources/Primitives/A.swift", "import DequeModule", false), ("Sources/Stray/A.swift", "let a = 1", false),
      ("Sources/Replica/A.swift", "import DequeModule\nimport Primitives", true),
      ("Sources/Replica/A.swift", "// import Foundation", true), ("Sources/Node/A.swift", "import Foundation", true),
      ("Sources/Node/A.swift", "import Primitives", true), ("Sources/Node/A.swift", "import NIOCore", false),
    ])
  func imports(path: String, text: String, isFine: Bool) {
    #expect(Self.rules(path, text).imports().isEmpty == isFine, "\(text)")
  }

  @Test(
    "what is not pure is found",
    arguments: [
      ("let now = Date()", false), ("let n = Int.random(in: 0..<3)", false), ("var x: Double = 1", false),
      ("let f = Float(1)", false), ("let p = Double.pi", false), ("Task { }", false), ("Task.detached { }", false),
      ("list.shuffled()", false),
      ("let s = \"\\(Double(1))\"", false), ("let s = \"Double\"", true), ("/// A Double.", true),
      ("let doubled = 2", true), ("struct Tasks {}", true), ("let floatless = 1 // Float", true),
    ])
  func purity(text: String, isFine: Bool) {
    #expect(Self.rules("Sources/Replica/A.swift", text).purity().isEmpty == isFine, "\(text)")
    #expect(Self.rules("Sources/Node/A.swift", text).purity().isEmpty, "shells may")
  }

  @Test(
    "forbidden words are found",
    arguments: [
      ("fatalError(\"no\")", false), ("let a = try! b()", false), ("// TODO: later", false), ("/// FIXME", false),
      ("preconditionFailure(\"fatalError(\")", true), ("let a = try? b()", true), ("let todos = 1", true),
    ])
  func words(text: String, isFine: Bool) {
    #expect(Self.rules("Sources/Node/A.swift", text).forbiddenWords().isEmpty == isFine, "\(text)")
  }

  @Test("long lines and files are found")
  func sizes() {
    let line = String(repeating: "é", count: 120)
    #expect(Self.rules("Tests/X/A.swift", line).sizes().isEmpty)
    #expect(Self.rules("Tests/X/A.swift", line + "x").sizes().count == 1)
    let file = String(repeating: "let a = 1\n", count: 600)
    #expect(Self.rules("Benchmarks/X/A.swift", file).sizes().isEmpty)
    #expect(Self.rules("Benchmarks/X/A.swift", file + "x\n").sizes().count == 1)
  }

  @Test("a limit that only a comment or a longer name mentions is unused")
  func limits() {
    let limits = "  public static let batchMax = 1"
    func found(_ text: String) -> Int { Self.rules("Sources/Node/A.swift", text, limits: limits).limits().count }
    #expect(found("let a = Limits.batchMax") == 0)
    #expect(found("let a = Limits.batchMax.advanced(by: 1)") == 0)
    #expect(found("// Limits.batchMax") == 1)
    #expect(found("let a = Limits.batchMaximum") == 1)
    #expect(Self.rules("Sources/Node/A.swift", "").limits().count == 1, "no limit at all")
  }

  @Test(
    "iteration in no order is found",
    arguments: [
      ("for (a, b) in table { }", false), ("for a in self.table { }", false), ("let a = table.keys.sorted()", false),
      ("let a = table.map { $0 }", false), ("for a in seen { }", false), ("let a = self.seen.filter { $0 > 1 }", false),
      ("for a in made { }", false), ("let a = table[1]", true), ("for a in table[1] { }", true),
      ("let a = table.count", true), ("let a = seen.contains(1)", true), ("for a in tables { }", true),
      ("let a = other.table.map { $0 }", true), ("for a in list { }", true), ("for a in pairs { }", true),
    ])
  func unordered(text: String, isFine: Bool) {
    let declarations = """
      private var table: [Dot: Int] = [:]
      var seen: Set<Int> = []
      let made = Set<Int>([1])
      var list: [Int] = []
      var pairs: [(a: Int, b: Int)] = []

      """
    let rules = Self.rules("Sources/Replica/A.swift", declarations + text)
    #expect(rules.unorderedIteration().isEmpty == isFine, "\(text)")
  }

  @Test("scripts that are not executable, or no bash, are found")
  func scripts() throws {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent("tidy-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: root) }
    func write(_ name: String, _ text: String, mode: Int) throws {
      let path = "\(root)/\(name)"
      try FileManager.default.createDirectory(
        atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }
    func found() -> Int { Self.rules("Sources/Node/A.swift", "", root: root).scripts().count }
    #expect(found() == 2, "empty folders")
    try write("Scripts/good", "echo good\n", mode: 0o755)
    try write(".ci/run", "echo good\n", mode: 0o755)
    #expect(found() == 0)
    try write("Scripts/plain", "echo good\n", mode: 0o644)
    #expect(found() == 1)
    try write("Scripts/broken", "if true; then\n", mode: 0o755)
    #expect(found() == 2)
  }

  @Test("a target without a folder, and a folder without a target, are found")
  func targets() throws {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent("tidy-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: root) }
    func make(_ folder: String) throws {
      try FileManager.default.createDirectory(atPath: "\(root)/\(folder)", withIntermediateDirectories: true)
    }
    func found() -> [String] { Self.rules("Sources/Node/A.swift", "", root: root).targets() }
    for folder in ["Sources/Primitives", "Sources/Replica", "Sources/Node", "Benchmarks/Pipeline"] { try make(folder) }
    #expect(found().contains { $0.contains("ReplicaTests") })
    try make("Tests/ReplicaTests")
    #expect(!found().contains { $0.contains("folder") })
    try make("Sources/Stray")
    #expect(found().contains { $0.hasPrefix("Sources/Stray") })
  }
}
