def @csv: if type != "array" then error("\(type) (\(.)) cannot be csv-formatted, only an array can be") else . end
  | [.[] | if type == "string" then "\"" + gsub("\""; "\"\"") + "\""
           elif . == null then "" elif type == "number" or type == "boolean" then tostring
           else error("\(type) (\(.)) is not valid in a csv row") end] | join(",");
def @tsv: if type != "array" then error("\(type) (\(.)) cannot be tsv-formatted, only an array can be") else . end
  | [.[] | if type == "string"
           then gsub("\\\\"; "\\\\") | gsub("\t"; "\\t") | gsub("\n"; "\\n") | gsub("\r"; "\\r")
           elif . == null then "" elif type == "number" or type == "boolean" then tostring
           else error("\(type) (\(.)) is not valid in a tsv row") end] | join("\t");
