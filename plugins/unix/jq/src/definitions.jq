def @csv: if type != "array" then error("\(type) (\(.)) cannot be csv-formatted, only an array can be") else . end
  | [.[] | if type == "string" then "\"" + gsub("\""; "\"\"") + "\""
           elif . == null then "" elif type == "number" or type == "boolean" then tostring
           else error("\(type) (\(.)) is not valid in a csv row") end] | join(",");
def @tsv: if type != "array" then error("\(type) (\(.)) cannot be tsv-formatted, only an array can be") else . end
  | [.[] | if type == "string"
           then gsub("\\\\"; "\\\\") | gsub("\t"; "\\t") | gsub("\n"; "\\n") | gsub("\r"; "\\r")
           elif . == null then "" elif type == "number" or type == "boolean" then tostring
           else error("\(type) (\(.)) is not valid in a tsv row") end] | join("\t");
def input: [limit(1; inputs)] | if . == [] then error("No more inputs") else .[0] end;
def leaf_paths: paths(scalars);
def tostream: path(def r: (.[]? | r), .; r) as $p | getpath($p) | reduce path(.[]?) as $q ([$p, .]; [$p + $q]);
def truncate_stream(s): . as $n | s | if (.[0] | length) > $n then .[0] |= .[$n:] else empty end;
