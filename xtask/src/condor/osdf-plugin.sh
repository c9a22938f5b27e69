#!/bin/sh
# The pool's plug-in for osdf://PATH, which stands for a path of the pool's own file system. HTCondor starts it as
# `osdf-plugin -classad`, and as `osdf-plugin -infile ADS -outfile ADS` in a job's folder, with an ad for each file to fetch.
# On the machine with the small disk, nothing is left of it for a job that wants it full, as in job-wrapper.
if [ "$1" = -classad ]; then
  printf '%s\n' 'MultipleFileSupport = true' 'PluginType = "FileTransfer"' 'PluginVersion = "1"' 'SupportedMethods = "osdf"'
  exit 0
fi
while [ $# -gt 1 ]; do
  case $1 in
  -infile) ads=$2 ;;
  -outfile) answers=$2 ;;
  esac
  shift 2
done
if grep -qi '^WantFullDisk *= *true' "$_CONDOR_JOB_AD" && grep -q '^DiskIsFull' "$_CONDOR_MACHINE_AD"; then
  cat /dev/zero >full 2>/dev/null
fi
: >"$answers"
# In its own order of attributes, one ad after the other.
tr ';[]' '\n\n\n' <"$ads" | sed -n 's/^ *\(LocalFileName\|Url\) *= *"\(.*\)" *$/\1 \2/p' | {
  to= url=
  while read -r name value; do
    case $name in
    LocalFileName) to=$value ;;
    Url) url=$value ;;
    esac
    [ -n "$to" ] && [ -n "$url" ] || continue
    if why=$(cp "${url#osdf://}" "$to" 2>&1); then
      ok=true why=
    else
      rm -f full # or there is no room to say so
      ok=false why="TransferError = \"$why\"; "
    fi
    printf '[ TransferProtocol = "osdf"; TransferType = "download"; TransferUrl = "%s"; TransferFileName = "%s"; %sTransferSuccess = %s ]\n' \
      "$url" "$to" "$why" $ok >>"$answers"
    [ $ok = true ] || exit 1
    to= url=
  done
}
