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
    OTHERS='s/OTHERGW/| (!Client(cs,zero,pub(xg)))/; s/OTHERPEER/| (!Server(pub(xs),xpsk,false))/'
    ALONE='s/OTHERGW//; s/OTHERPEER//'
    # Where an attack is expected that needs no honest client: the prover mixes two runs of the gateway up otherwise, and
    # says "cannot be proved".
    NOCLIENT='s/(!Client(cs,PSK,pub(ns)))  *|//'
    NOPSK='/^process/,$ s/PSK/zero/g'
    LATER='s/ LATE/ | (phase 1; out(net,(cs,psk)))/; s/GWLATE/| (phase 1; out(net,ns))/'
    H1='/(\* H2/,/(\*QUERIES-end/d'
    NOT_H1='/(\* reachable/,/(\* H2/d; /^query attacker(secretS)/d'
    H2='/(\* reachable/,/(\* H2/d; /(\* H3/,/(\*QUERIES-end/d'
    H3='/(\* reachable/,/(\* H3/d; /(\* H4/,/(\*QUERIES-end/d'
    H4='/(\* reachable/,/(\* H4/d'
    k() { # name, who else there is, further edits
        sed -e "$2" -e "$3" -e 's/PUBLISH/out(net,pub(cs));/; s/^ *[EF]LEAK//' \
            -e '/^process/,$ { s/PSK/psk/g; s/GWLEAK//; s/GWLATE//; s/LEAKS//; s/ LATE//; }' \
            handshake.pv >"$D/handshake-$1.pv"
        r "handshake-$1"
    }
    k as_it_is "$OTHERS" ''
    k psk_known "$ALONE" 's/^ *LEAKS/out(net,psk);/'
    k client_key_known_client_view "$ALONE" "$NOPSK; $NOT_H1; s/^ *LEAKS/out(net,cs);/"
    k client_key_known_gateway_view "$ALONE" "$H1; $NOCLIENT; $NOPSK; s/^ *LEAKS/out(net,cs);/"
    k client_key_known_psk_secret "$ALONE" 's/^ *LEAKS/out(net,cs);/'
    k gateway_key_known_gateway_view "$ALONE" "$H1; $NOPSK; s/^ *GWLEAK/out(net,ns);/"
    k all_keys_known_later "$ALONE" "$H4; $LATER"
    k all_keys_known_later_one_ephemeral_known "$ALONE" "$H4; $LATER; s/^ *FLEAK/out(net,f);/"
    k mutant_no_confirmation "$ALONE" "$H1; /(\*M-confirm-begin/,/(\*M-confirm-end/d"
    k mutant_no_prologue "$ALONE" "$H2; s/((VER,head(\*M-prologue\*)),/((VER,VER),/"
    k mutant_no_se_gateway_key_known "$ALONE" \
        "$H1; $NOCLIENT; $NOPSK; s/^ *GWLEAK/out(net,ns);/
         s/mix(mix(emix(c3,F),\(dh[ir]([^)]*)\)),dh[ir]([^)]*)(\*M-se\*))/mix(emix(c3,F),\1)/"
    k mutant_id_of_nothing_fresh "$ALONE" "$H3; s/sidf(h5,c6)/sidf(VER,zero)/"
    IDENTITY="$H4; s/^query attacker(secretC)\./query attacker(pub(anon))./; /^query attacker(secretS)/d
        s/^free ns: exp/free anon: exp [private].\n&/; s/new cs:exp;/let cs = anon in/; s/PUBLISH//"
    EQUATION='s/^fun shared.*/fun dh(exp,pt): key./; /^reduc.*dhr/d; s/dh[ir](/dh(/g
        s/^reduc.*dh(x,pub(y)).*/equation forall x:exp,y:exp; dh(x,pub(y)) = dh(y,pub(x))./'
    k equation_born "$ALONE" "$EQUATION; $H1"
    k equation_answered "$ALONE" "$EQUATION; $H2"
    k equation_one_id "$ALONE" "$EQUATION; $H3"
    k equation_secret "$ALONE" "$EQUATION; $H4"
    k identity "$ALONE" "$IDENTITY"
    k identity_gateway_key_known_later "$ALONE" "$IDENTITY; s/GWLATE/| (phase 1; out(net,ns))/"
}

takeover() {
    t() { # name, edits
        sed -e "$2" -e 's/^ *[ENCS]LEAK//; s/^ *FLEAK//; s/ [SC]LATE//; s/ NLATE//' takeover.pv >"$D/takeover-$1.pv"
        r "takeover-$1"
    }
    CLIENT_KEY='s/^ *CLEAK/out(net,cs);/'
    STORE='s/^ *SLEAK/out(net,(RS,Kto,Kre));/'
    GATEWAY_KEY='s/^ *NLEAK/out(net,ns);/'
    LATER='s/ SLATE/ | (phase 1; out(net,(RS,Kto,Kre)))/; s/ CLATE/ | (phase 1; out(net,cs))/; s/ NLATE/ | (phase 1; out(net,ns))/'
    K1='/(\*K2\*)/,/(\*QUERIES-end/d'
    NOT_K2='/(\*K2\*)/,/(\*K3\*)/d'
    NOT_K1_K3='/(\* reachable/,/(\*K2\*)/d; /(\*K3\*)/,/(\*K4\*)/d; /^query attacker(secretN)/d'
    K3='/(\* reachable/,/(\*K3\*)/d; /(\*K4\*)/,/(\*QUERIES-end/d'
    K4='/(\* reachable/,/(\*K4\*)/d'
    NOCLIENT='s/( !( in(net,(oe.*/(/; s/^ *| !Node(sid,RS,/            !Node(sid,RS,/'
    t as_it_is ''
    t store_known "$STORE"
    t client_key_known "$CLIENT_KEY"
    t gateway_key_known "$GATEWAY_KEY; $NOT_K2"
    t store_and_client_key_known_client_view "$STORE; $CLIENT_KEY; $NOT_K1_K3"
    t store_and_client_key_known_gateway_view "$STORE; $CLIENT_KEY; $K1; $NOCLIENT"
    t store_and_gateway_key_known_gateway_view "$STORE; $GATEWAY_KEY; $K1"
    t all_known_later "$LATER; $K4"
    t all_known_later_one_ephemeral_known "$LATER; $K4; s/^ *FLEAK/out(net,f);/"
    t mutant_no_confirmation "$K1; /(\*M-confirm-begin/,/(\*M-confirm-end/d"
    t mutant_no_se_store_and_gateway_key_known "$STORE; $GATEWAY_KEY; $K1; $NOCLIENT
        s/mix(mix(emix(c1,F),\(dh[ir]([^)]*)\)),dh[ir]([^)]*)(\*M-se\*))/mix(emix(c1,F),\1)/"
    t mutant_refusal_of_no_request "$K3; s/,cseq,t(\*M-answers\*)//"
    t mutant_refusal_without_the_requests_mac "$K3; s/,t(\*M-answers\*)//"
}

"$PV" -help 2>&1 | head -1
for model in ${*:-reattach ticket rekey handshake takeover}; do "$model"; done
