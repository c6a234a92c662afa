//! Which file of a crate imports which, read from `use` declarations and paths that start with `crate` or `super`.

use std::collections::{BTreeMap, BTreeSet};

type ModulePath = Vec<String>;

/// The files of a crate and the imports between them.
pub(crate) struct ImportGraph {
    files: Vec<String>,
    /// For each file, the files that it imports.
    edges: Vec<BTreeSet<usize>>,
}

impl ImportGraph {
    /// Creates the graph of source files, given as paths below `src` and code without comments.
    pub(crate) fn new(sources: &[(String, String)]) -> Self {
        let sources: Vec<_> = sources.iter().filter(|(file, _)| file != "main.rs").collect();
        let modules: BTreeMap<ModulePath, usize> =
            sources.iter().enumerate().map(|(index, (file, _))| (module_path(file), index)).collect();
        let mut edges = vec![BTreeSet::new(); sources.len()];
        for (index, (file, code)) in sources.iter().enumerate() {
            let module = module_path(file);
            let children: Vec<&str> = modules
                .keys()
                .filter(|path| path.len() == module.len() + 1 && path.starts_with(&module))
                .filter_map(|path| path.last().map(String::as_str))
                .collect();
            for path in imported_paths(code, &children) {
                if let Some(target) = resolve(&module, &path, &modules).filter(|target| *target != index) {
                    edges[index].insert(target);
                }
            }
        }
        Self { files: sources.iter().map(|(file, _)| file.clone()).collect(), edges }
    }

    /// Returns the groups of files that import each other in a circle, directly or through others.
    pub(crate) fn cycles(&self) -> Vec<Vec<&str>> {
        let reachable: Vec<BTreeSet<usize>> = (0..self.files.len()).map(|start| self.reachable_from(start)).collect();
        let mut groups: BTreeSet<Vec<&str>> = BTreeSet::new();
        for (start, targets) in reachable.iter().enumerate() {
            let mut group: Vec<&str> = targets
                .iter()
                .filter(|target| reachable[**target].contains(&start))
                .map(|target| self.files[*target].as_str())
                .collect();
            group.sort_unstable();
            if group.len() > 1 {
                groups.insert(group);
            }
        }
        groups.into_iter().collect()
    }

    /// Returns the files that a file imports, directly or through others.
    fn reachable_from(&self, start: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut pending = vec![start];
        while let Some(file) = pending.pop() {
            for target in &self.edges[file] {
                if reached.insert(*target) {
                    pending.push(*target);
                }
            }
        }
        reached
    }
}

fn module_path(file: &str) -> ModulePath {
    let mut parts: ModulePath = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| matches!(last.as_str(), "lib" | "mod")) {
        parts.pop();
    }
    parts
}

/// Returns the file of the longest part of a path that is a module.
fn resolve(module: &ModulePath, path: &[String], modules: &BTreeMap<ModulePath, usize>) -> Option<usize> {
    let mut found = match path.first().map(String::as_str) {
        Some("crate") => Vec::new(),
        _ => module.clone(),
    };
    let mut rest = path.iter().skip_while(|step| matches!(step.as_str(), "crate" | "self")).peekable();
    while rest.next_if(|step| *step == "super").is_some() {
        found.pop();
    }
    for step in rest {
        found.push(step.clone());
        if !modules.contains_key(&found) {
            found.pop();
            break;
        }
    }
    modules.get(&found).copied()
}

/// Returns the paths of `use` declarations and of other code that lead to this crate. `children` are the modules of
/// the file, which code may name without `self`.
fn imported_paths(code: &str, children: &[&str]) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (at, name) in identifiers(code) {
        let before = code[..at].trim_end();
        let rest = code[at + name.len()..].trim_start();
        let starts_path = matches!(name, "crate" | "super" | "self") || children.contains(&name);
        if starts_path && rest.starts_with("::") && !before.ends_with("::") {
            collect_paths(&code[at..], &mut Vec::new(), &mut paths);
        }
    }
    paths
}

/// Returns all identifiers with their offsets.
fn identifiers(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.split(move |c| !is_part(c))
        .filter(|name| !name.is_empty())
        .map(|name| (name.as_ptr() as usize - code.as_ptr() as usize, name))
}

/// Adds the paths at the start of `code`, such as `a::b` or `a::{b, c::{D, E}}`. Returns the code after them.
fn collect_paths<'a>(code: &'a str, prefix: &mut Vec<String>, paths: &mut Vec<Vec<String>>) -> &'a str {
    let length = prefix.len();
    let mut rest = code.trim_start();
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            rest = group.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                rest = collect_paths(rest, prefix, paths);
                // Skips `as name` and the comma.
                let end = rest.find([',', '}']).unwrap_or(rest.len());
                rest = rest[end..].trim_start_matches(',').trim_start();
            }
            rest = rest.strip_prefix('}').unwrap_or(rest);
            break;
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        prefix.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
        match rest.strip_prefix("::") {
            Some(after) if after.trim_start().starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '{') => {
                rest = after.trim_start();
            }
            _ => {
                paths.push(prefix.clone());
                break;
            }
        }
    }
    prefix.truncate(length);
    rest
}
