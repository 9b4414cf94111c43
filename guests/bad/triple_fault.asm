; SPDX-License-Identifier: MIT
; An exception without a handler, for it or for what follows.
%include "bad.inc"

        ud2
