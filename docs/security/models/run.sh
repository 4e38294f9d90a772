#!/bin/sh
# Runs the symbolic models and prints what they say; out.txt is what it printed. Needs ProVerif 2.05 (PV=path).
# Usage: run.sh [reattach] [ticket] [rekey] [handshake] [takeover]; all of them without a word.
# One case may take some minutes and 4 GiB; LIMIT is in seconds.
PV=${PV:-proverif}
LIMIT=${LIMIT:-1800}
D=$(mktemp -d)
trap 'rm -rf "$D"' EXIT
cd "$(dirname "$0")" || exit 1
ulimit -v "${MEMORY:-8000000}"

r() { # name
    case "$1" in ${ONLY:-*}) ;; *) return ;; esac
    echo "== $1"
    timeout "$LIMIT" "$PV" "$D/$1.pv" >"$D/out" 2>&1 || echo "no answer within $LIMIT s"
    grep -E '^RESULT|rror' "$D/out"
}

reattach() { cp reattach.pv "$D/reattach.pv"; r reattach; }

ticket() {
    t() { sed "$2" ticket.pv >"$D/ticket-$1.pv"; r "ticket-$1"; }
    t as_it_is ''
    for f in 'sid:sid' 'o:epoch' 'v:version' 'path:path' 'src:address' 'cc:cid' 'sc:scid'; do
        t "mutant_no_${f#*:}" "s/,${f%:*}(\*M-${f#*:}\*)//g"
    done
    t mutant_source_not_compared 's/if obs = src(\*M-source\*) then//'
    t mutant_cookie_without_address 's/,src(\*M-cookieaddress\*)//g'
}

rekey() {
    PLAIN='s/^CHANNEL/free link: channel./; s/COPY[123]//'
    WATCHED='s/^CHANNEL/free link: channel [private]./
        s/COPY1/out(net,(pn,aead(tk(ES,C2S),pn,(REQ,req))));/
        s/COPY2/out(net,(pb,aead(tk(E2,C2S),pb,BEAT)));/
        s/COPY3/out(net,(pm,aead(tk(ES,S2C),pm,(RESP,body,conf(E2)))));/'
    SECRECY='/(\* reachable/,/(\* R4/d'
    k() { # name, how the channel is, further edits
        sed -e "$2" -e "$3" -e 's/CLEAK//; s/SLEAK//; s/ LATE[12]*//; s/LEAKS//; s/CHANNEL, COPY, LEAK and/&/' \
            rekey.pv >"$D/rekey-$1.pv"
        r "rekey-$1"
    }
    k as_it_is "$PLAIN" ''
    k mutant_no_confirmation "$PLAIN" 's/if (cf = conf(E2)(\*M-conf\*)) then//'
    k mutant_one_phase "$PLAIN" '/(\*M-twophase-begin/,/(\*M-twophase-end/d'
    k watched_old_epoch_known "$WATCHED" "$SECRECY; s/LEAKS/out(net,ES);/"
    k watched_old_epoch_and_x25519_known "$WATCHED" "$SECRECY; s/LEAKS/out(net,ES);/; s/CLEAK/out(net,x);/; s/SLEAK/out(net,y);/"
    k watched_old_epoch_and_mlkem_known "$WATCHED" "$SECRECY; s/LEAKS/out(net,ES);/; s/CLEAK/out(net,d);/; s/SLEAK/out(net,s);/"
    k watched_all_three_known "$WATCHED" \
        "$SECRECY; s/LEAKS/out(net,ES);/; s/CLEAK/out(net,x); out(net,d);/; s/SLEAK/out(net,y); out(net,s);/"
    k mutant_no_mlkem_x25519_known "$WATCHED" \
        "$SECRECY; s/LEAKS/out(net,ES);/; s/CLEAK/out(net,x);/; s/SLEAK/out(net,y);/
         s/decap(d,ct)(\*M-kem\*)/nokem/; s/kss(e,s)(\*M-kem\*)/nokem/"
    k mutant_no_x25519_mlkem_known "$WATCHED" \
        "$SECRECY; s/LEAKS/out(net,ES);/; s/CLEAK/out(net,d);/; s/SLEAK/out(net,s);/
         s/pw(Y,x)(\*M-dh\*)/g/; s/pw(X,y)(\*M-dh\*)/g/"
    k active_x25519_and_mlkem_known "$PLAIN" "$SECRECY; s/CLEAK/out(net,x); out(net,d);/; s/SLEAK/out(net,y); out(net,s);/"
    k old_epoch_known_later "$PLAIN" "$SECRECY; s/ LATE )/ | (phase 1; out(net,ES)) )/"
}

handshake() {
    BASE='s/OTHERGW/| (!Client(cs,zero,pub(xg)))/; s/OTHERPEER/| (!Server(pub(xs),xpsk,false))/'
    ALONE='s/OTHERGW//; s/OTHERPEER//'
    PUBLISHED='s/PUBLISH/out(net,pub(cs));/'
    Q1='/(\* H2/,/(\*QUERIES-end/d'
    Q2='/(\* reachable/,/(\* H2/d; /(\* H3/,/(\*QUERIES-end/d'
    Q3='/(\* reachable/,/(\* H3/d; /(\* H4/,/(\*QUERIES-end/d'
    Q4='/(\* reachable/,/(\* H4/d'
    k() { # name, who else there is, further edits
        sed -e "$2" -e "$3" -e "$PUBLISHED" \
            -e '/^process/,$ { s/PSK/psk/g; s/GWLEAK//; s/GWLATE//; s/LEAKS//; s/ LATE//; }' \
            handshake.pv >"$D/handshake-$1.pv"
        r "handshake-$1"
    }
    k with_others "$BASE" "$Q1"
    k answered "$ALONE" "$Q2; s/inj-event/event/g; s/^set preciseActions.*//"
    k one_id "$ALONE" "$Q3"
    k secret "$ALONE" "$Q4"
    k mutant_no_confirmation "$ALONE" "$Q1; /(\*M-confirm-begin/,/(\*M-confirm-end/d"
    k mutant_no_prologue "$ALONE" "$Q2; s/((VER,head(\*M-prologue\*)),/((VER,VER),/"
    k client_key_known_client_view "$ALONE" "$Q2; s/^ *LEAKS/out(net,cs);/"
    k gateway_key_known_gateway_view "$ALONE" "$Q1; s/^ *GWLEAK/out(net,ns);/; /^process/,\$ s/PSK/zero/g"
    k mutant_no_se_gateway_key_known "$ALONE" \
        "$Q1; s/^ *GWLEAK/out(net,ns);/; /^process/,\$ s/PSK/zero/g; s/mix(mix(emix(c3,F),\(dh([^)]*)\)),dh([^)]*)(\*M-se\*))/mix(emix(c3,F),\1)/"
    k all_keys_known_later "$ALONE" "$Q4; s/ LATE/ | (phase 1; out(net,(cs,psk)))/; s/GWLATE/| (phase 1; out(net,ns))/"
    IDENTITY="$Q4; s/^query attacker(secretC)\./query attacker(pub(anon))./; /^query attacker(secretS)/d
        s/^free ns: exp/free anon: exp [private].\n&/; s/new cs:exp;/let cs = anon in/; s/PUBLISH//"
    k identity "$ALONE" "$IDENTITY"
    k identity_gateway_key_known_later "$ALONE" "$IDENTITY; s/GWLATE/| (phase 1; out(net,ns))/"
}

takeover() {
    t() { sed -e "s#LEAKS#$2#" -e 's#LATE##' takeover.pv >"$D/takeover-$1.pv"; r "takeover-$1"; }
    sed -e 's#LEAKS##' -e 's#LATE##' takeover_named.pv >"$D/takeover-named.pv"
    r takeover-named
    t nothing_leaked ''
    t store_leaked 'out(net,(RS,Kto));'
    t client_static_leaked 'out(net,cs);'
    t node_static_leaked 'out(net,ns);'
    t store_and_client_static_leaked 'out(net,(RS,Kto,cs));'
    f() { sed -e 's#LEAKS##' -e "s#LATE#$2#" takeover_fs.pv >"$D/takeover-$1.pv"; r "takeover-$1"; }
    f statics_leaked_later '| (phase 1; out(net,(cs,ns)))'
    f statics_and_store_leaked_later '| (phase 1; out(net,(cs,ns,RS,Kto)))'
}

"$PV" -help 2>&1 | head -1
for model in ${*:-reattach ticket rekey handshake takeover}; do "$model"; done
