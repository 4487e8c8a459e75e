# For the scripts run and minimise beside it.

# Where the targets are once they are built.
binaries=target/$(rustc --version --verbose | sed -n 's/^host: //p')/release

# Unpacks the committed inputs of a target and prints the directory: unpack TARGET
unpack() {
  local directory=target/committed/$1
  rm -rf "$directory"
  mkdir -p "$directory"
  ./corpus.py unpack "corpus/$1.jsonl" "$directory"
  echo "$directory"
}

# The folder of the inputs that code with a certain fault gets wrong, if a target has any: seeds_of TARGET
seeds_of() {
  local seeds=seeds/$1
  if grep -q generator::check "targets/$1.rs"; then seeds=seeds/manifests; fi
  if [ -d "$seeds" ]; then echo "$seeds"; fi
}
